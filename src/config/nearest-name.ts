import { expectFunction, expectString, wrongArgument } from "../arguments.ts";
import { nearestName as nearest } from "../nearest-name.ts";

/** The known name that a misspelt one most likely meant, or undefined if more than a third of the letters differ from every one. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  expectString("nearestName: name", name);
  if (!Array.isArray(known)) throw wrongArgument("nearestName: known", "an array of names", known);
  for (const candidate of known) expectString("nearestName: a known name", candidate);
  return nearest(name, known);
}

/** ` (did you mean "x"?)`, or nothing when no known name is near. */
export function hint(name: string, known: readonly string[], show = (match: string) => `"${match}"`): string {
  expectFunction("hint: show", show);
  const match = nearestName(name, known);
  return match === undefined ? "" : ` (did you mean ${show(match)}?)`;
}
