import { extname } from "node:path";
import type { YAMLParseError } from "yaml";
import { BatchCamError } from "../errors.ts";
import { readRegularText } from "../regular-file.ts";

/**
 * Reads the options from a YAML or JSON file. The schema checks the keys and values later.
 * @param asked the flag or command that named the file, at the start of messages
 * @throws BatchCamError E_IO if the file cannot be read; E_CONFIG if it is malformed (with the line) or does not contain a set of options
 */
export async function readConfigFile(path: string, asked = "--config"): Promise<Record<string, unknown>> {
  const parse = PARSERS[extname(path).toLowerCase()];
  if (!parse) throw new BatchCamError("E_CONFIG", `${asked}: "${path}" must end in .yaml, .yml or .json`);
  const options = await parse((await readText(path, asked)).replace(/^\uFEFF/, ""), path);
  if (options === null || options === undefined) return {};
  if (typeof options !== "object" || Array.isArray(options)) {
    const got = Array.isArray(options) ? "a list" : JSON.stringify(options);
    throw new BatchCamError("E_CONFIG", `${path}: expected options as "key: value", got ${got}`);
  }
  return options as Record<string, unknown>;
}

const PARSERS: Record<string, (text: string, path: string) => unknown> = {
  ".yaml": parseYaml,
  ".yml": parseYaml,
  ".json": parseJson,
};

const READ_FAILURES: Record<string, string> = {
  ENOENT: "no such file",
  EISDIR: "it is a folder",
  EACCES: "permission denied",
};

async function readText(path: string, asked: string): Promise<string> {
  try {
    return await readRegularText(path);
  } catch (cause) {
    const { code = "", message } = cause as NodeJS.ErrnoException;
    throw new BatchCamError("E_IO", `${asked}: cannot read "${path}": ${READ_FAILURES[code] ?? message}`, { cause });
  }
}

async function parseYaml(text: string, path: string): Promise<unknown> {
  const { parseDocument } = await import("yaml");
  const document = parseDocument(text, { prettyErrors: false, logLevel: "error" });
  const [error] = document.errors;
  if (error) {
    const reason = error.message;
    const line = misaligned(document.errors, text);
    if (line !== undefined) {
      const why = `the indentation or a colon is wrong near line ${line} (${reason.replace(/\s+/g, " ")})`;
      throw new BatchCamError("E_CONFIG", `${path}: malformed YAML: ${why}`, { cause: error });
    }
    throw malformed(path, "YAML", { text, offset: error.pos[0], reason, cause: error });
  }
  try {
    return document.toJS();
  } catch (cause) {
    // yaml throws here for an alias without an anchor, and for more aliases than a config can reasonably contain.
    throw malformed(path, "YAML", { text, offset: undefined, reason: (cause as Error).message, cause });
  }
}

/** Messages of the parser for lines that are indented wrongly or lack a colon. */
const MISALIGNED =
  /^(?:Nested mappings|Implicit keys|Implicit map keys|All \w+ items must|Tabs are not allowed|Unexpected .* at node end)/;

/**
 * The line of the first fault if its indentation or a missing colon is the likely cause. Of a key that is indented below a value, the
 * parser reports the value's line and, as a second error at the same place, a range that ends at the key.
 */
function misaligned(errors: readonly YAMLParseError[], text: string): number | undefined {
  const [first, second] = errors;
  if (first === undefined || !MISALIGNED.test(first.message)) return undefined;
  const isRange = first.code === "BLOCK_AS_IMPLICIT_KEY" && second?.pos[0] === first.pos[0];
  const offset = isRange ? Math.max(second.pos[0], second.pos[1] - 1) : first.pos[0];
  return text.slice(0, offset).split("\n").length;
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = (cause as Error).message;
    const position = /position (\d+)/.exec(reason)?.[1];
    // V8 reports no position if the text ends too early.
    throw malformed(path, "JSON", {
      text,
      offset: position === undefined ? text.trimEnd().length : Number(position),
      reason,
      cause,
    });
  }
}

interface Malformation {
  text: string;
  offset: number | undefined;
  reason: string;
  cause: unknown;
}

function malformed(path: string, format: string, { text, offset, reason, cause }: Malformation): BatchCamError {
  const place = offset === undefined ? "" : ` at line ${text.slice(0, offset).split("\n").length}`;
  const because = reason.replace(/ in JSON at position.*$| \(line \d+ column \d+\)$/s, "").replace(/\s+/g, " ");
  return new BatchCamError("E_CONFIG", `${path}: malformed ${format}${place}: ${because}`, { cause });
}
