import { fieldsOf } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";
import type { Command } from "./command.ts";
import { kebabCase } from "./flags.ts";

/**
 * An error of the library as a command says it: options of the command by their flags, where a program writes them as keys.
 * Only keys of several words are told apart from plain text; a key in a config file ("batchSize in a.yaml") and parts of
 * paths stay as they are.
 */
export function inFlagsOf(error: unknown, { config }: Pick<Command, "config">): unknown {
  if (!(error instanceof BatchCamError)) return error;
  const keys = Object.keys(fieldsOf(config)).filter((key) => /[A-Z]/.test(key));
  if (keys.length === 0) return error;
  const pattern = new RegExp(`(?<![\\w./"'-])(${keys.join("|")})(?![\\w/]|\\.\\w| in )`, "g");
  const message = error.message.replace(pattern, (key) => `--${kebabCase(key)}`);
  return message === error.message ? error : new BatchCamError(error.code, message, { cause: error });
}
