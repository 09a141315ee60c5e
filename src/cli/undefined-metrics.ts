import type { ExplanationMetrics, MetricName } from "../evaluate/explanation-metrics.ts";

/** Metrics of a method that none of the images has, and why. */
export interface LeftOut {
  metrics: MetricName[];
  why: string;
}

const OF_FOREGROUND: ReadonlySet<MetricName> = new Set([
  "pointingGame",
  "energyInForeground",
  "relevanceRankAccuracy",
] as const);

/** A method's metrics without those that are defined for no image, which are named apart with the reason. */
export function withoutUndefined(found: ExplanationMetrics): ExplanationMetrics & { leftOut: LeftOut[] } {
  const entries = Object.entries(found.values) as [MetricName, { mean: number }][];
  const isMissing = ([, { mean }]: (typeof entries)[number]) => !Number.isFinite(mean);
  const missing = entries.filter(isMissing).map(([name]) => name);
  const values = Object.fromEntries(entries.filter((entry) => !isMissing(entry))) as ExplanationMetrics["values"];
  return { ...found, values, leftOut: reasonsOf(missing, found) };
}

function reasonsOf(missing: readonly MetricName[], { values }: ExplanationMetrics): LeftOut[] {
  const dead = values.deadMaps?.mean === 1;
  const reasonOf = (name: MetricName): string => {
    if (dead) return "every map is dead, zero everywhere";
    return OF_FOREGROUND.has(name)
      ? "no image has a foreground that is told from its background (pixels above 0.1, at most 80 % of the image)"
      : "it is not defined for any of the images";
  };
  const reasons = [...new Set(missing.map(reasonOf))];
  return reasons.map((why) => ({ metrics: missing.filter((name) => reasonOf(name) === why), why }));
}

/** One line for each reason; of several methods it names the method. */
export function leftOutLines(explanations: readonly { method: string; leftOut?: readonly LeftOut[] }[]): string[] {
  return explanations.flatMap(({ method, leftOut = [] }) => {
    const of = explanations.length > 1 ? `${method}: ` : "";
    return leftOut.map(({ metrics, why }) => `${of}left out: ${metrics.join(", ")}, because ${why}`);
  });
}
