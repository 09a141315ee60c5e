import { describe, expect, it } from "vitest";
import type { ExplanationMetrics } from "../../workflows/evaluate/explanation-metrics.ts";
import { leftOutLines, withoutUndefined } from "./evaluation-lines.ts";

const metrics = (values: ExplanationMetrics["values"], method = "GradCAM") =>
  ({ method, values }) as unknown as ExplanationMetrics;
const none = { mean: Number.NaN, undefined: 5 };

describe("metrics that are not defined for any image", () => {
  it("are left out and named with the reason, while the others are kept", () => {
    const found = withoutUndefined(
      metrics({ pointingGame: none, energyInForeground: none, sparseness: { mean: 0.4, undefined: 2 } }),
    );
    expect(found.values).toEqual({ sparseness: { mean: 0.4, undefined: 2 } });
    expect(leftOutLines([found])).toEqual([
      "left out: pointingGame, energyInForeground, because no image has a foreground that can be separated from its background (pixels above 0.1 that cover at most 80 % of the image)",
    ]);
  });

  it("are explained by the maps if all of them are dead, in a line for each method", () => {
    const dead = withoutUndefined(metrics({ sparseness: none, deadMaps: { mean: 1, undefined: 0 } }, "LayerCAM"));
    const well = withoutUndefined(metrics({ sparseness: { mean: 0.4, undefined: 0 } }));
    expect(leftOutLines([well, dead])).toEqual([
      "LayerCAM: left out: sparseness, because every map is dead (zero everywhere)",
    ]);
  });
});
