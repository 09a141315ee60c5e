import { nearestName } from "./nearest-name.ts";

/** An item that a user chooses by name: a model family, a data set, a distance, a method ... */
export interface Named {
  readonly name: string;
}

/**
 * Items of one kind by name. A registry is immutable; a different list makes another registry, which is how tests add
 * items of their own.
 */
export interface Registry<T extends Named> {
  readonly items: readonly T[];
  readonly names: readonly T["name"][];
  /** The item with a name; undefined for anything else, including values that are not strings. */
  find(name: unknown): T | undefined;
  /** The text ` (did you mean "x"?)` for a misspelt name; empty if no name is similar. */
  hint(name: unknown): string;
}

/** Makes a registry of these items, whose names must differ. */
export function registryOf<const T extends Named>(items: readonly T[]): Registry<T> {
  const byName = new Map<string, T>(items.map((item) => [item.name, item]));
  if (byName.size !== items.length) throw new Error(`two items of a registry have one name: ${namesIn(items)}`);
  const names = items.map(({ name }) => name);
  return {
    items,
    names,
    find: (name) => (typeof name === "string" ? byName.get(name) : undefined),
    hint(name) {
      const nearest = typeof name === "string" ? nearestName(name, names) : undefined;
      return nearest === undefined ? "" : ` (did you mean "${nearest}"?)`;
    },
  };
}

/** Joins names to a phrase such as "ssim, l1 and l2". */
export function inWords(names: readonly string[], last: "and" | "or" = "and"): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${last} ${names.at(-1)}`;
}

const namesIn = (items: readonly Named[]): string => items.map(({ name }) => name).join(", ");
