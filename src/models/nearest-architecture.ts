import { counted, wordFor } from "../counted.ts";
import { getRngState, setRngState, type Tensor, tidy } from "../tensor/index.ts";
import { FAMILIES } from "./families.ts";
import type { ModelFamily } from "./family.ts";
import { prefixHint } from "./weights-names.ts";

/** "simple-cnn; resnet18 and resnet34 under torchvision's names; ..." */
function knownModels(families: readonly ModelFamily[]): string {
  const named = families.map(({ models, namesOf }) => {
    const range = models.length > 2 ? `${models[0]} to ${models.at(-1)}` : models.join(" and ");
    return namesOf === null ? range : `${range} under ${namesOf}'s names`;
  });
  return named.join("; ");
}

/**
 * Describes weights that fit no architecture of this project: the known architectures, the nearest one, and how many names fit.
 * "the known architectures are …; the nearest is resnet18: 60 of its 122 names occur, with 14 others ("a", "b", "c", …)"
 */
export function nearestArchitecture(
  weights: ReadonlyMap<string, Tensor>,
  families: readonly ModelFamily[] = FAMILIES,
): string {
  const given = [...weights.keys()];
  const known = knownModels(families);
  const fits = Array.from(namesOfKnown(families), ([name, names]) => ({
    name,
    total: names.size,
    matched: given.filter((one) => names.has(one)).length,
    others: given.filter((one) => !names.has(one)),
  }));
  // The sizes of a family share names, so the nearest one is that with the fewest missing and unexpected names in
  // total.
  const [best] = fits.toSorted((a, b) => unlike(a) - unlike(b));
  const hint = prefixHint(given);
  if (best === undefined || best.matched === 0)
    return `the known architectures are ${known}, but none of their names occur${hint}`;
  const { name, total, matched, others } = best;
  const shown = others.slice(0, 3).map((other) => JSON.stringify(other));
  const beside =
    others.length === 0
      ? ""
      : `, with ${counted(others.length, "other")} (${shown.join(", ")}${others.length > 3 ? ", …" : ""})`;
  return `the known architectures are ${known}; the nearest is ${name}: ${matched} of its ${counted(total, "name")} ${wordFor(matched, "occurs", "occur")}${beside}${hint}`;
}

const unlike = ({ total, matched, others }: { total: number; matched: number; others: readonly string[] }): number =>
  total - matched + others.length;

/** The parameters' names of every model. The state of the engine's random generator does not change. */
function namesOfKnown(families: readonly ModelFamily[]): Map<string, Set<string>> {
  const state = getRngState();
  const found = new Map<string, Set<string>>();
  try {
    for (const [name, model] of families.flatMap((family) => [...family.sketches()])) {
      found.set(name, new Set(tidy(() => [...model.stateDict().keys()])));
      model.dispose();
    }
    return found;
  } finally {
    setRngState(state);
    state.dispose();
  }
}
