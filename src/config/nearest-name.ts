import { expectFunction, expectString, wrongArgument } from "../arguments.ts";
import { nearestName as nearest } from "../nearest-name.ts";

/**
 * The known name that a misspelt one most likely means; undefined if more than a third of the letters differ from every
 * known name.
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  expectString("nearestName: name", name);
  if (!Array.isArray(known)) throw wrongArgument("nearestName: known", "an array of names", known);
  for (const candidate of known) expectString("nearestName: a known name", candidate);
  return nearest(name, known);
}

/** The text ` (did you mean "x"?)`, or an empty string if no known name is similar. */
export function hint(name: string, known: readonly string[], show = (match: string) => `"${match}"`): string {
  expectFunction("hint: show", show);
  const match = nearestName(name, known);
  return match === undefined ? "" : ` (did you mean ${show(match)}?)`;
}
