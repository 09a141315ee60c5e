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
  return stack.split(";").flatMap((entry) => {
    const [, path, ...type] = splitAtCommas(entry);
    // torch writes such an entry for a node that it made itself, such as the size of an input.
    if (path === undefined || path.startsWith("_empty_nn_module_stack")) return [];
    return [{ path: cleanPath(path), type: type.join(",") }];
  });
}

/** Splits at the commas that are outside of brackets. */
function splitAtCommas(text: string): string[] {
  const parts = [""];
  let depth = 0;
  for (const character of text) {
    if (character === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += character;
    if ("[(".includes(character)) depth++;
    else if (")]".includes(character)) depth--;
  }
  return parts;
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
