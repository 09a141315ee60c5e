import { counted, wordFor } from "../../counted.ts";
import type { AnalysedMethod, AnalysisGroup } from "../../workflows/study/analysis.ts";
import { formatCount } from "../text/numbers.ts";
import { unfinishedWarmUp } from "../text/warm-up.ts";

/** How many runs of the grid ended before their guidance had its whole weight; nothing where there is none. */
export function unfinishedWarmUps(groups: readonly AnalysisGroup[]): string[] {
  const count = groups.flatMap(({ methods }) =>
    methods.flatMap(({ done }) => done.flatMap(({ config, steps }) => unfinishedWarmUp(config, steps) ?? [])),
  ).length;
  if (count === 0) return [];
  return [
    `In ${counted(count, "run", formatCount)} the guidance never had its whole weight, because the warm-up is longer than the run: their numbers are of a weaker guidance than the settings say.`,
  ];
}

/** Which methods of a group those are, a sentence each. */
export function warmUpsInWords({ methods }: AnalysisGroup): string[] {
  return methods.flatMap(warmUpInWords);
}

function warmUpInWords({ method, done }: AnalysedMethod): string[] {
  const found = done.flatMap(({ config, steps }) => {
    const one = unfinishedWarmUp(config, steps);
    return one === null ? [] : [{ ...one, steps }];
  });
  if (found.length === 0) return [];
  const of = found.length === done.length ? "" : ` in ${found.length} of ${counted(done.length, "run", formatCount)}`;
  const rise = `its weight rises over ${range(found.map(({ warmUp }) => warmUp))} ${wordFor(Math.max(...found.map(({ warmUp }) => warmUp)), "step")}`;
  const end = `the ${wordFor(found.length, "run")} took ${range(found.map(({ steps }) => steps))} and ended with ${range(found.map(({ share }) => Math.round(100 * share)))} % of it`;
  return [`The guidance of ${method} never had its whole weight${of}: ${rise}, ${end}.`];
}

/** "100", or "90 to 120". */
function range(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? String(least) : `${least} to ${most}`;
}
