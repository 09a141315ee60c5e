import { BatchCamError } from "../errors.ts";
import type { Command } from "./command.ts";
import { kebabCase } from "./flags.ts";
import { quoted } from "./shell-word.ts";

/**
 * The parts of a command by which its options are named: its name starts the error messages, its schema has the keys, and its operand is
 * the option without a flag.
 */
export type CommandNames = Pick<Command, "config" | "name" | "operand">;

/** The name of an option on the command line: `--cam-layer`, or the operand's name such as `RUN`. */
export function flagOf(key: string, { operand }: Pick<Command, "operand">): string {
  return key === operand?.key ? operand.name : `--${kebabCase(key)}`;
}

/**
 * Rewrites an error of the library in the terms of the command line. This is the only place that does so.
 *
 * - The operation at the start of the message is a function that the user never called. It is replaced by the command, or by the flag if it
 * is one of the command's options.
 * - Options are replaced by their flags: in arguments that a program would pass ("{ width: 8 }"), and in keys of several words anywhere. A key
 * of a single word may be an ordinary word, so it is replaced only in the contexts of `inPlaces`.
 * - Keys of a config file ("batchSize in a.yaml") and parts of paths are not changed.
 * - System errors are shortened to their description.
 */
export function inFlagsOf(error: unknown, command: CommandNames): unknown {
  if (!(error instanceof BatchCamError)) return error;
  const message = headed(error, command);
  const { code, options } = error;
  return message === error.message ? error : new BatchCamError(code, message, { cause: error, options });
}

function headed({ operation, detail, options }: BatchCamError, command: CommandNames): string {
  const keys = Object.keys(command.config.shape);
  const several = keys.filter((key) => /[A-Z]/.test(key));
  const argument = /^\w+(?= must )/.exec(detail)?.[0];
  const single = keys.filter((key) => !several.includes(key));
  const marked = single.filter((key) => options.includes(key) || key === argument);
  const given = withArguments(detail, keys, command);
  const placed = inPlaces(inPlaces(given, AS_OPTION, single, command), AS_MARKED, marked, command);
  const text = plainFailures(withFlags(placed, several, command));
  const opensWithName = [" ", ": "].some((next) => text.startsWith(`${command.name}${next}`));
  if (operation !== undefined && keys.includes(operation))
    return `${command.name}: ${flagOf(operation, command)}: ${text}`;
  return opensWithName ? text : `${command.name}: ${text}`;
}

/** Contexts in which a word is an option, even if it is also an ordinary word: "the option seed". */
const AS_OPTION: readonly Place[] = [["\\boption ", ""]];

/**
 * Contexts in which a word is an option if the error lists it among its options; anywhere else it is an ordinary word, as in "over the run's
 * 2 epochs". Examples: "lr is 0", "these differ: lr (the run has 0.1)", "together with mean", "with epochs 9", "(sched cosine)", "leave
 * epochs out".
 */
const AS_MARKED: readonly Place[] = [
  ["^", "(?= (?:must|is|are|gives|holds|takes|belongs)\\b|:|$)"],
  ["(?<=^|: |; )", "(?= \\()"],
  ["\\bwith(?:out)? ", '(?=$|[,;:]|\\.(?:\\s|$)| ["\\d])'],
  ["\\(", "(?= [^()\\s]+\\))"],
  ["\\bleave ", "(?= out\\b)"],
];

type Place = readonly [before: string, after: string];

/** Replaces the given keys by their flags in these contexts. */
function inPlaces(text: string, places: readonly Place[], keys: readonly string[], command: CommandNames): string {
  if (keys.length === 0) return text;
  const end = "(?![\\w/-]|\\.\\w)";
  return places.reduce((before, [head, tail]) => {
    const pattern = new RegExp(`(${head})(${keys.join("|")})${end}${tail}`, "g");
    return before.replace(pattern, (_, opening: string, key: string) => opening + flagOf(key, command));
  }, text);
}

/** Replaces the given keys in a text by their flags. */
function withFlags(text: string, keys: readonly string[], command: CommandNames): string {
  if (keys.length === 0) return text;
  const pattern = new RegExp(`(?<![\\w./"'-])(${keys.join("|")})(?![\\w/-]|\\.\\w| in )`, "g");
  return text.replace(pattern, (key) => flagOf(key, command));
}

/** Rewrites `{ model: "resnet18", width: 8 }`, which is how the library writes arguments of a program, as `--model resnet18 --width 8`. */
function withArguments(text: string, keys: readonly string[], command: CommandNames): string {
  return text.replace(/\{ (\w+: [^{},]+(?:, \w+: [^{},]+)*) \}/g, (all, list: string) => {
    const pairs = list.split(", ").map((pair) => pair.split(": ") as [string, string]);
    if (!pairs.every(([key]) => keys.includes(key))) return all;
    return pairs.map(([key, value]) => argument(flagOf(key, command), value)).join(" ");
  });
}

function argument(flag: string, value: string): string {
  if (value === "true") return flag;
  if (value === "false") return `--no-${flag.slice(2)}`;
  const word = quoted(value.replace(/^"(.*)"$/, "$1"));
  return flag.startsWith("--") ? `${flag} ${word}` : `${word} for ${flag}`;
}

/**
 * Shortens Node's "ENOENT: no such file or directory, open 'a.png'" to "no such file or directory", because the message already has the
 * path.
 */
const plainFailures = (text: string): string =>
  text.replace(/\bE[A-Z]{2,}: ([^,;()]+), [a-z]+(?: '[^']*'(?: -> '[^']*')?)?/g, "$1");
