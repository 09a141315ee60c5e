import { parseArgs } from "node:util";
import type { z } from "zod";
import { DATASET_NAMES, TrainConfig } from "../config/index.ts";
import { choicesOf, expectation, type FieldSchema, fieldsOf, hint, numberIn, typesOf } from "../config/internal.ts";
import { ownDataset } from "../data/sources/own-dataset.ts";
import { BatchCamError } from "../errors.ts";
import { isExportedPath } from "../models/exported/description.ts";
import { quoted } from "./shell-word.ts";

/** A command-line flag, derived from one field of a schema. */
export interface Flag {
  /** The name without dashes: `batch-size`. */
  name: string;
  /** The key in the config: `batchSize`. */
  key: string;
  /**
   * The kind of value. The value of an `optional` flag may be left out, as for `--resume`. A `repeat` flag may be given
   * several times.
   */
  kind: "boolean" | "number" | "string" | "optional" | "repeat";
  field: FieldSchema;
}

export const kebabCase = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Keys of training options in camelCase, which cannot be confused with ordinary words. */
const KEYS = new RegExp(
  `\\b(${Object.keys(TrainConfig.shape)
    .filter((key) => /[A-Z]/.test(key))
    .join("|")})\\b`,
  "g",
);

/** Replaces the keys of options in a text of the library by their flags. */
export const inFlags = (text: string): string => text.replace(KEYS, (key) => `--${kebabCase(key)}`);

/** The flags and the operand that a command line accepts. */
export interface Grammar {
  flags: readonly Flag[];
  operand?: Operand | undefined;
  /** The flags of the other commands, to say to which of them an unknown flag belongs. */
  others?: readonly { name: string; flags: readonly Flag[] }[];
}

/** The words of a command line without a flag: the config key that takes them, and their name in the help. */
export interface Operand {
  key: string;
  name: string;
  /** Whether the key takes a list of words. */
  many?: boolean;
  /** Advice for a word that the command cannot take, as the rest of an error's sentence. */
  advice?: (word: string) => string | undefined;
}

/**
 * The flags of a schema, in its order. A list gets a flag only if it can be written as a text with commas or if the flag may be repeated.
 */
export function flagsOf(schema: z.ZodObject): Flag[] {
  return Object.entries(fieldsOf(schema))
    .filter(([, field]) => !isNested(typesOf(field)) || field.repeat)
    .map(([key, field]) => ({ name: kebabCase(key), key, kind: kindOf(field), field }));
}

function isNested(types: readonly string[]): boolean {
  return types.includes("object") || (types.includes("array") && !types.includes("string"));
}

function kindOf(field: FieldSchema): Flag["kind"] {
  const types = typesOf(field);
  if (field.repeat) return "repeat";
  if (types.includes("array")) return "string";
  if (types.includes("boolean")) return types.length > 1 ? "optional" : "boolean";
  return types.includes("number") || types.includes("integer") ? "number" : "string";
}

type Token = NonNullable<ReturnType<typeof parseArgs>["tokens"]>[number];
type OptionToken = Extract<Token, { kind: "option" }>;

/**
 * Reads the values on a command line, by config key. If a flag is given twice, the last value counts, as in argparse. The schema checks
 * ranges and choices later.
 * @param grammar the flags, and the operand if the command has one
 * @param what the command, at the start of messages
 * @throws BatchCamError E_CONFIG for an unknown flag, a missing or malformed value, or a word that belongs to no flag
 */
export function parseFlags(argv: readonly string[], grammar: Grammar, what: string): Record<string, unknown> {
  const { flags, operand, others = [] } = grammar;
  const tokens = tokenize(argv, flags);
  const values: Record<string, unknown> = {};
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as Token;
    if (token.kind === "positional") takeOperand(values, token.value, { operand, flags, what });
    if (token.kind !== "option") continue;
    const { flag, negated } = findFlag(token, { flags, others }, what);
    const next = tokens[i + 1];
    if (flag.kind === "optional" && !negated && token.value === undefined && next?.kind === "positional") {
      values[flag.key] = next.value;
      i++;
    } else if (flag.kind === "repeat") {
      values[flag.key] = [...((values[flag.key] as unknown[]) ?? []), flagValue(token, flag, what)];
    } else {
      values[flag.key] = negated ? false : flagValue(token, flag, what);
    }
  }
  return values;
}

function takeOperand(
  values: Record<string, unknown>,
  word: string,
  { operand, flags, what }: Grammar & { what: string },
): void {
  const exported = operand?.key === "model" ? undefined : exportedHint(word, flags);
  if (exported !== undefined) throw fault(what, exported);
  if (operand === undefined) throw fault(what, `unexpected argument "${word}"${strayHint(word, flags)}`);
  const { key, name, many, advice } = operand;
  const instead = advice?.(word);
  if (instead !== undefined) throw fault(what, `${name} "${word}" ${instead}`);
  if (many) values[key] = [...((values[key] as string[] | undefined) ?? []), word];
  else if (key in values)
    throw fault(what, `${name} is given twice, the second time as "${word}": ${what} takes one at a time`);
  else values[key] = word;
}

/** Advice for the path of an exported model that no flag names; undefined for other words and for commands without models. */
function exportedHint(word: string, flags: readonly Flag[]): string | undefined {
  const flag = flags.find(({ key }) => key === "model" || key === "models");
  if (flag === undefined || !isExportedPath(word)) return undefined;
  return `"${word}" is an exported model: write --${flag.name} ${quoted(word)}`;
}

/** Advice if the word is the name of a data set, or a folder or file of images. */
function strayHint(word: string, flags: readonly Flag[]): string {
  if (!flags.some(({ key }) => key === "dataset")) return "; see --help";
  if ((DATASET_NAMES as readonly string[]).includes(word)) return `: use --dataset ${word} to choose a data set`;
  const own = ownDataset(word);
  if (own === undefined) return "; see --help";
  return `: it ${own.holds}, which --dataset ${own.name} --data-dir ${quoted(word)} would use`;
}

function tokenize(argv: readonly string[], flags: readonly Flag[]): Token[] {
  const options = Object.fromEntries(
    flags.map(({ name, kind, field }) => {
      const type = kind === "boolean" || kind === "optional" ? "boolean" : "string";
      return [name, { type, ...(field.short ? { short: field.short } : {}) }] as const;
    }),
  );
  return parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

function findFlag(token: OptionToken, grammar: Grammar, what: string): { flag: Flag; negated: boolean } {
  const { flags, others = [] } = grammar;
  const flag = flags.find(({ name }) => name === token.name);
  // For a known short flag, parseArgs reports its long name, so a single letter here is an unknown flag.
  if (flag && token.rawName !== `-${token.name}`) return { flag, negated: false };
  const negated = flags.find(
    ({ name, kind }) => token.name === `no-${name}` && (kind === "boolean" || kind === "optional"),
  );
  if (negated && token.value === undefined) return { flag: negated, negated: true };
  if (negated) throw fault(what, `${token.rawName} takes no value, got "${token.value}"`);
  const names = flagNames(flags);
  const near = hint(token.name, names, (match) => `--${match}`) || longer(token.name, names);
  // The first one is named: the commands are in the order of their importance, and a list of many would hide the advice.
  const owner = others.find((other) => other.name !== what && flagNames(other.flags).includes(token.name));
  const isElsewhere = owner !== undefined && token.rawName === `--${token.name}`;
  const elsewhere = isElsewhere ? ` of ${what} (it is a flag of ${owner.name})` : "";
  throw fault(what, `unknown flag ${token.rawName}${elsewhere}${near}; see \`batch-cam ${what} --help\``);
}

/** The flags whose names start with the given name, if it was shortened. */
function longer(name: string, names: readonly string[]): string {
  const found = names.filter((known) => name.length > 1 && known.startsWith(name));
  return found.length === 0
    ? ""
    : ` (did you mean ${found
        .slice(0, 5)
        .map((known) => `--${known}`)
        .join(" or ")}?)`;
}

/** The names by which flags are given, also the negated ones. */
const flagNames = (flags: readonly Flag[]): string[] =>
  flags.flatMap(({ name, kind }) => (kind === "boolean" ? [name, `no-${name}`] : [name]));

function flagValue({ rawName, value, inlineValue }: OptionToken, flag: Flag, what: string): unknown {
  const expected = expectation(flag.field);
  if (flag.kind === "boolean" || flag.kind === "optional") {
    if (value === undefined) return true;
    if (value === "true" || value === "false") return value === "true";
    if (flag.kind === "optional") return value;
    throw fault(what, `${rawName} must be ${expected}, got "${value}"`);
  }
  if (value === undefined) throw fault(what, `${rawName} needs a value: ${expected}`);
  if (flag.kind === "number" && !choicesOf(flag.field).includes(value)) {
    const number = numberIn(value);
    if (number === undefined) throw fault(what, `${rawName} must be ${expected}, got "${value}"`);
    return number;
  }
  if (!inlineValue && value.startsWith("-")) {
    throw fault(
      what,
      `${rawName} needs a value: ${expected}; "${value}" looks like a flag (write ${rawName}=${value} if it is the value)`,
    );
  }
  return value;
}

function fault(what: string, message: string): BatchCamError {
  return new BatchCamError("E_CONFIG", `${what}: ${message}`);
}
