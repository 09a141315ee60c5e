import { choicesOf, typesOf } from "../config/internal.ts";
import { type Flag, inFlags } from "./flags.ts";
import { wrap } from "./table.ts";

/** Width of the left column. The description of a longer flag starts on the next line. */
const LEFT = 30;

export interface CommandHelp {
  flags: readonly Flag[];
  /** The words without a flag, as the usage names them, with their description. */
  operand?: { name: string; description: string } | undefined;
  columns: number;
}

/** The `--help` of one command: its operand, and its flags under their headings, wrapped to `columns`. */
export function formatCommandHelp(usage: string, summary: string, { flags, operand, columns }: CommandHelp): string {
  const headings = [...new Set(flags.map(({ field }) => field.group ?? "Flags"))];
  const sections = headings.map((heading) => {
    const own = flags.filter(({ field }) => (field.group ?? "Flags") === heading);
    return [`\n${heading}`, ...own.map((flag) => formatFlag(flag, columns))].join("\n");
  });
  const words = operand === undefined ? [] : [`\n${describe(`  ${operand.name}`, operand.description, columns)}`];
  return [`${summary}\n\nUsage: batch-cam ${usage} [flags]`, ...words, ...sections].join("\n").concat("\n");
}

/** The help of the whole program. */
export function formatHelp(commands: readonly { name: string; summary: string }[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const rows = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    "Train image classifiers with guided, coherent attention maps, and audit what the maps show.\n",
    "Usage: batch-cam <command> [flags]\n",
    ...rows,
    "\n`batch-cam <command> --help` lists a command's flags; `batch-cam --version` prints the version.\n",
  ].join("\n");
}

function formatFlag(flag: Flag, columns: number): string {
  const left = foldChoices(`  ${signature(flag)}`, columns);
  const { description = "", default: value } = flag.field;
  // "default: false" of a switch is left out because it says nothing, and defaults that depend on the model or machine are part of the
  // description.
  const hasDefault = value !== undefined && value !== false && !Array.isArray(value);
  const facts = [...rangeOf(flag.field), ...(hasDefault ? [`default: ${value === true ? "on" : value}`] : [])];
  return describe(left, facts.length === 0 ? description : `${description} (${facts.join("; ")})`, columns);
}

/** A flag or word in the left column, and its description in the right one. */
function describe(left: string, description: string, columns: number): string {
  const lines = wrap(inFlags(description), Math.max(24, columns - LEFT - 1));
  const indent = `\n${" ".repeat(LEFT)}`;
  if (left.length > LEFT - 2) return `${left}${indent}${lines.join(indent)}`;
  return `${left.padEnd(LEFT)}${lines.join(indent)}`;
}

/** The range of a number, or nothing if it has no upper limit: every count is at least 1, which needs no mention. */
function rangeOf({ type, minimum, exclusiveMinimum, maximum, exclusiveMaximum }: Flag["field"]): string[] {
  const to = exclusiveMaximum === undefined ? maximum : `below ${exclusiveMaximum}`;
  if (to === undefined || to === Number.MAX_SAFE_INTEGER) return [];
  const from =
    exclusiveMinimum === undefined
      ? (minimum ?? "")
      : type === "integer"
        ? exclusiveMinimum + 1
        : `above ${exclusiveMinimum}`;
  return [`${from} to ${to}`.trim()];
}

function signature({ name, kind, field }: Flag): string {
  const short = field.short ? `-${field.short}, ` : "";
  if (kind === "boolean") return `${short}--${field.default === true ? "[no-]" : ""}${name}`;
  if (kind === "optional") return `${short}--${name} [path]`;
  return `${short}--${name} <${placeholder(kind, field)}>`;
}

function placeholder(kind: Flag["kind"], field: Flag["field"]): string {
  const file = (field.anyOf ?? []).flatMap(({ extension }) => (extension === undefined ? [] : [`path${extension}`]));
  const choices = [...choicesOf(field), ...file, ...(kind === "number" && field.anyOf !== undefined ? ["n"] : [])];
  if (choices.length > 0) return choices.join("|");
  if (kind === "number") return "n";
  if (kind === "repeat") return "option=value";
  return typesOf(field).includes("array") ? "list" : "text";
}

/** Wraps choices that are too long for a line, aligned with the first choice. */
function foldChoices(line: string, columns: number): string {
  if (line.length <= columns) return line;
  const start = line.indexOf("<") + 1;
  const rows = wrap(line.slice(start).replaceAll("|", "| "), Math.max(24, columns - start));
  return line.slice(0, start) + rows.join(`\n${" ".repeat(start)}`).replaceAll("| ", "|");
}
