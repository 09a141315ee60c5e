import type { ModuleScope } from "./program.ts";

/**
 * The modules around a node, outermost first, from its `nn_module_stack`: entries "key,path,type", separated by semicolons.
 * A module that is called again can have "@1" behind its name, and before torch 2.6 paths are Python expressions such as
 * `L['self'].layer1[0]`: state_dict writes "layer1.0" for all of them.
 *
 * Source: `serialize_metadata` in torch/_export/serde/serialize.py of PyTorch 2.15.
 */
export function scopesOf(metadata: Readonly<Record<string, unknown>>): ModuleScope[] {
  const stack = metadata.nn_module_stack;
  if (typeof stack !== "string" || stack === "") return [];
  return stack
    .split(";", MAX_SCOPES)
    .map(splitAtCommas)
    .flatMap(([, path, type = ""]) => (path === undefined ? [] : [{ path: cleanPath(path), type }]));
}

/** Limit on the modules around a node, which bounds the memory of a hostile file. */
const MAX_SCOPES = 256;

/** Splits at the commas that are outside of brackets, into three parts at most. */
function splitAtCommas(text: string): string[] {
  const parts: string[] = [];
  let [depth, start] = [0, 0];
  for (let at = 0; at < text.length && parts.length < 2; at++) {
    const character = text[at] as string;
    if ("[(".includes(character)) depth++;
    else if (")]".includes(character)) depth--;
    else if (character === "," && depth === 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function cleanPath(path: string): string {
  return path
    .replace(/^(?:L\[(['"])self\1\]|L__self__|self|_export_root)(?=$|[.[])/, "")
    .replace(/\[(['"]?)([^\]'"]*)\1\]/g, ".$2")
    .replace(/(^|\.)_modules(?=\.)/g, "")
    .replace(/@\d+(?=$|\.)/g, "")
    .replace(/^\.+/, "");
}

/** A module in messages: `layer1.0.conv1 (Conv2d)`. */
export function moduleName(scopes: readonly ModuleScope[]): string | undefined {
  const innermost = scopes.at(-1);
  if (innermost === undefined) return undefined;
  const type = innermost.type.split(".").at(-1) ?? "";
  if (innermost.path === "") return `the model itself${type === "" ? "" : ` (${type})`}`;
  return type === "" ? innermost.path : `${innermost.path} (${type})`;
}
