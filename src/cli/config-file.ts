import { extname } from "node:path";
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
  if (error) throw malformed(path, "YAML", { text, offset: error.pos[0], reason: error.message, cause: error });
  try {
    return document.toJS();
  } catch (cause) {
    // yaml throws here for an alias without an anchor, and for more aliases than a config can reasonably contain.
    throw malformed(path, "YAML", { text, offset: undefined, reason: (cause as Error).message, cause });
  }
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
