import { BatchCamError } from "../errors.ts";
import type { Command } from "./command.ts";
import { kebabCase } from "./flags.ts";
import { quoted } from "./shell-word.ts";

/** What names a command's options: its name heads its errors, its schema has the keys, and one of them may be a word without a flag. */
export type CommandNames = Pick<Command, "config" | "name" | "operand">;

/** An option as the command line has it: `--cam-layer`, or `RUN` where it is the word without a flag. */
export function flagOf(key: string, { operand }: Pick<Command, "operand">): string {
  return key === operand?.key ? operand.name : `--${kebabCase(key)}`;
}

/**
 * An error of the library as a command says it; this is the one place where the library's words become the command line's. The operation at
 * the head, a function that the user never called, gives way to the command, or to the flag where it is one of the command's options.
 * Options are named by their flags: those that a program would pass ("{ width: 8 }"), those of several words anywhere, and one of a
 * single word, which may be plain English, only where it stands as an option does (`inPlaces`). A key in a config file ("batchSize in
 * a.yaml") and parts of paths stay as they are. Of the system's failures the words are left.
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

/** Before and after a word that is an option, whatever it means in English: "the option seed". */
const AS_OPTION: readonly Place[] = [["\\boption ", ""]];

/**
 * Before and after a word that is one of the options of which an error says that it speaks; anywhere else it is plain English, as in "over
 * the run's 2 epochs": "lr is 0", "these differ: lr (the run has 0.1)", "together with mean", "with epochs 9", "(sched cosine)", "leave epochs out".
 */
const AS_MARKED: readonly Place[] = [
  ["^", "(?= (?:must|is|are|gives|holds|takes|belongs)\\b|:|$)"],
  ["(?<=^|: |; )", "(?= \\()"],
  ["\\bwith(?:out)? ", '(?=$|[,;:]|\\.(?:\\s|$)| ["\\d])'],
  ["\\(", "(?= [^()\\s]+\\))"],
  ["\\bleave ", "(?= out\\b)"],
];

type Place = readonly [before: string, after: string];

/** A text with these options by their flags where they stand in one of the places. */
function inPlaces(text: string, places: readonly Place[], keys: readonly string[], command: CommandNames): string {
  if (keys.length === 0) return text;
  const end = "(?![\\w/-]|\\.\\w)";
  return places.reduce((before, [head, tail]) => {
    const pattern = new RegExp(`(${head})(${keys.join("|")})${end}${tail}`, "g");
    return before.replace(pattern, (_, opening: string, key: string) => opening + flagOf(key, command));
  }, text);
}

/** A text with these of a command's options by their flags. */
function withFlags(text: string, keys: readonly string[], command: CommandNames): string {
  if (keys.length === 0) return text;
  const pattern = new RegExp(`(?<![\\w./"'-])(${keys.join("|")})(?![\\w/-]|\\.\\w| in )`, "g");
  return text.replace(pattern, (key) => flagOf(key, command));
}

/** `--model resnet18 --width 8` of "{ model: "resnet18", width: 8 }", which is how the library says what a program may pass. */
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

/** "no such file or directory" of Node's "ENOENT: no such file or directory, open 'a.png'", whose path the message has already. */
const plainFailures = (text: string): string =>
  text.replace(/\bE[A-Z]{2,}: ([^,;()]+), [a-z]+(?: '[^']*'(?: -> '[^']*')?)?/g, "$1");
