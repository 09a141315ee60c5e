import { describe, expect, it } from "vitest";
import { gridRuns } from "../../../test/support/grid-runs.ts";
import { settingsOf } from "./settings.ts";

const textOf = (settings: readonly (readonly [string, string])[]) => settings.map((one) => one.join(" ")).join(", ");
const rowsOf = (grid: Parameters<typeof gridRuns>[0]) =>
  Object.fromEntries(
    settingsOf(gridRuns(grid)).rows.map(({ of, name, settings }) => [`${of} ${name}`, textOf(settings)]),
  );

describe("the settings of a grid", () => {
  it("are common if all runs share them: those that are not the default, and those that every reader asks for", () => {
    const { common, rows } = settingsOf(
      gridRuns({ base: { epochs: 2, sched: "cosine" }, datasets: "mnist", seeds: 3 }),
    );
    expect(Object.fromEntries(common)).toMatchObject({ epochs: "2", batchSize: "128", opt: "adam", sched: "cosine" });
    expect(common.map(([option]) => option)).not.toEqual(
      expect.arrayContaining(["seed", "model", "dataset", "camEps"]),
    );
    expect(rows.map(({ of, name }) => `${of} ${name}`)).toEqual(["method plain", "method prototype ssim"]);
  });

  it("are listed with the row that decides them", () => {
    const rows = rowsOf({
      models: [
        { name: "small", model: "simple-cnn" },
        { name: "narrow", model: "resnet18", width: 16, lr: 0.002 },
      ],
      datasets: [
        { name: "mnist", limitTrain: 640 },
        { name: "decoy", dataset: "decoy-mnist", decoyVariant: "cdep" },
      ],
      methods: [
        { name: "plain", plain: true },
        { name: "strong", lambdaPrototype: 20, prototypes: "shuffled" },
      ],
      seeds: 2,
    });
    expect(rows["model narrow"]).toBe("lr 0.002, width 16");
    expect(rows["dataset mnist"]).toBe("limitTrain 640");
    expect(rows["dataset decoy"]).toBe("decoyVariant cdep");
    expect(rows["method plain"]).toMatch(/^plain true/);
    expect(rows["method strong"]).toMatch(/^(?=.*lambdaPrototype 20)(?=.*prototypes shuffled)/);
  });

  it("are listed with the run if no row alone decides them", () => {
    const rows = rowsOf({
      models: [
        { name: "a", model: "simple-cnn", lr: 0.002 },
        { name: "b", model: "simple-cnn", width: 8 },
      ],
      datasets: "mnist",
      methods: [
        { name: "plain", plain: true },
        { name: "fast", lr: 0.01, lambdaPrototype: 5 },
      ],
      seeds: 1,
    });
    expect(rows["run a, mnist, plain"]).toBe("lr 0.002");
    expect(rows["run b, mnist, plain"]).toBe("lr 0.001");
    expect(rows["run a, mnist, fast"]).toBe("lr 0.01");
  });

  it("are empty without a run", () => {
    expect(settingsOf([])).toEqual({ common: [], rows: [] });
  });
});
