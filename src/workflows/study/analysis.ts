import { type Coverage, coverageOf, MEASURE_IDS, type MeasureId, measured } from "./measures.ts";
import { holm, type PairedTest, pairedTest } from "./paired-test.ts";
import type { DoneRun, GridRunRecord, MethodKind } from "./records.ts";
import { summariseSpurious } from "./spurious-summary.ts";
import { rowsOf, type Spread, spread } from "./summary.ts";

/** The methods of one model on one data set. */
export interface AnalysisGroup {
  model: string;
  dataset: string;
  /** The first method of kind plain, with which the others are compared, or null if the grid has none. */
  plain: string | null;
  methods: AnalysedMethod[];
  /** For each kind, the method with the highest accuracy on random cues, or null if the group has no such method. */
  best: Record<"method" | "control" | "reference", AnalysedMethod | null>;
  /** The comparison of the best method with the best control on random cues, or null if one of them is missing. */
  duel: Duel | null;
}

export interface AnalysedMethod {
  method: string;
  kind: MethodKind;
  done: DoneRun[];
  failed: number;
  values: Record<MeasureId, Spread>;
  /** The images for which each measure of maps is defined, in the run with the fewest; null for a measure that was not taken. */
  coverage: Record<MeasureId, Coverage | null>;
  /** The effects relative to plain training with the same seeds. Null for plain training itself, and if the group has none. */
  effects: Record<MeasureId, Effect> | null;
  /** Time of a step relative to plain training with the same seed; NaN if plain training has not finished that seed. */
  overhead: Spread;
  /** See the same field in `summariseSpurious`. */
  gapClosed: number | null;
}

export interface Effect extends PairedTest {
  /** p after Holm's correction for all methods that are compared with the same plain training. */
  adjusted: number | null;
}

/** The difference of method and control on the random set, paired by seed. Both were chosen for their means there. */
export interface Duel {
  method: string;
  control: string;
  test: PairedTest;
}

/** Analyses the records of a grid: one group for each model and data set, in the order of the records. */
export function analyse(records: readonly GridRunRecord[]): AnalysisGroup[] {
  const gaps = new Map(summariseSpurious(records).map((row) => [keyOf(row), row.gapClosed]));
  const groups = new Map<string, AnalysedMethod[]>();
  const places = new Map<string, { model: string; dataset: string }>();
  for (const rows of rowsOf(records)) {
    const { model, dataset } = rows[0] as GridRunRecord;
    const place = JSON.stringify([model, dataset]);
    places.set(place, { model, dataset });
    groups.set(place, [...(groups.get(place) ?? []), methodOf(rows, gaps)]);
  }
  return Array.from(groups, ([place, methods]) => {
    const plain = methods.find(({ kind }) => kind === "plain");
    const held = plain === undefined ? methods : withEffects(methods, plain);
    const best = {
      method: bestOnRandom(held, ["guided", "baseline"]),
      control: bestOnRandom(held, ["control"]),
      reference: bestOnRandom(held, ["reference"]),
    };
    return {
      ...(places.get(place) as { model: string; dataset: string }),
      ...{ plain: plain?.method ?? null, methods: held, best, duel: duelOf(best) },
    };
  });
}

/**
 * Whether the runs of a group were tested on different images, classes or numbers of images. The images of a folder have then changed
 * between runs, and their numbers are not comparable.
 */
export function hasMixedData({ methods }: AnalysisGroup): boolean {
  const seen = methods.flatMap(({ done }) =>
    done.map(({ test, samples, config, data }) =>
      JSON.stringify([test.images, samples.classNames, config.limitTest, data]),
    ),
  );
  return new Set(seen).size > 1;
}

const keyOf = ({ model, dataset, method }: { model: string; dataset: string; method: string }): string =>
  JSON.stringify([model, dataset, method]);

function methodOf(rows: readonly GridRunRecord[], gaps: ReadonlyMap<string, number | null>): AnalysedMethod {
  const first = rows[0] as GridRunRecord;
  const done = rows.filter((record): record is DoneRun => record.status === "done");
  const values = Object.fromEntries(
    MEASURE_IDS.map((id) => [id, spread(done.map((record) => measured(record, id)))]),
  ) as Record<MeasureId, Spread>;
  const coverage = Object.fromEntries(
    MEASURE_IDS.map((id) => [id, coverageOf(done, id)]),
  ) as AnalysedMethod["coverage"];
  return {
    ...{ method: first.method, kind: first.kind, done, failed: rows.length - done.length, values, coverage },
    ...{ effects: null, overhead: spread([]), gapClosed: gaps.get(keyOf(first)) ?? null },
  };
}

function withEffects(methods: readonly AnalysedMethod[], plain: AnalysedMethod): AnalysedMethod[] {
  const others = methods.filter((one) => one !== plain);
  const tests = new Map(
    MEASURE_IDS.map((id) => {
      const found = others.map((one) => pairedTest(differences(one, plain, id)));
      const adjusted = holm(found.map(({ p }) => p));
      return [id, new Map(others.map((one, i) => [one, { ...found[i], adjusted: adjusted[i] } as Effect]))];
    }),
  );
  return methods.map((one) => {
    const overhead = spread(pairsOf(one, plain, "secondsPerStep").map(([value, base]) => value / base));
    if (one === plain) return { ...one, overhead: { ...overhead, deviation: Number.NaN } };
    const effects = MEASURE_IDS.map((id) => [id, tests.get(id)?.get(one)]);
    return { ...one, overhead, effects: Object.fromEntries(effects) as Record<MeasureId, Effect> };
  });
}

const differences = (one: AnalysedMethod, other: AnalysedMethod, id: MeasureId): number[] =>
  pairsOf(one, other, id).map(([value, base]) => value - base);

/** The values of both methods for each seed that both have finished. */
function pairsOf(one: AnalysedMethod, other: AnalysedMethod, id: MeasureId): [number, number][] {
  const before = new Map(other.done.map((record) => [record.seed, measured(record, id)]));
  return one.done.flatMap((record) => {
    const [value, base] = [measured(record, id), before.get(record.seed) ?? null];
    return value === null || base === null ? [] : [[value, base]];
  });
}

function bestOnRandom(methods: readonly AnalysedMethod[], kinds: readonly MethodKind[]): AnalysedMethod | null {
  const judged = methods.filter(
    ({ kind, values }) => kinds.includes(kind) && Number.isFinite(values.randomAccuracy.mean),
  );
  return judged.sort((a, b) => b.values.randomAccuracy.mean - a.values.randomAccuracy.mean)[0] ?? null;
}

function duelOf({ method, control }: AnalysisGroup["best"]): Duel | null {
  if (method === null || control === null) return null;
  const test = pairedTest(differences(method, control, "randomAccuracy"));
  return { method: method.method, control: control.method, test };
}
