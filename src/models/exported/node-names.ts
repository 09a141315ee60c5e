import type { Node } from "./program.ts";

interface TargetParts {
  namespace: string;
  /** Name without namespace and overload: "add_". */
  base: string;
  /** "" for the default overload. */
  overload: string;
}

export function partsOf(target: string): TargetParts {
  const [namespace = "", base = "", overload = ""] = target.split(".");
  return { namespace, base, overload: overload === "default" ? "" : overload };
}

/** A node and its module in messages. */
export function labelOf({ name, target, scopes }: Node): string {
  const path = scopes.at(-1)?.path ?? "";
  return `node ${name} (${target}${path === "" ? "" : ` in ${path}`})`;
}
