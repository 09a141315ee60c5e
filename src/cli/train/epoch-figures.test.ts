import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { mapsFigure } from "../../report/figures/picture-rows.ts";
import type { MapSamples, StartEvent } from "../../train/run/events.ts";
import { createFigures } from "./progress-lines.ts";

let folder = "";
beforeEach(() => {
  folder = temporaryFolder("figures");
});

const pixels = (value: number) => new Float32Array(16).fill(value);
const SAMPLES: MapSamples = {
  classNames: ["zero", "one", "two"],
  height: 4,
  width: 4,
  images: [pixels(0.1), pixels(0.2)],
  labels: [0, 2],
  predictions: [0, 1],
  maps: [pixels(0), pixels(0.5)],
  dead: [true, false],
  prototypes: [pixels(0.6), pixels(0.7), pixels(0.8)],
};
const start = (epochs = 12) => ({ type: "start", runDirectory: folder, epochs }) as StartEvent;

describe("the figure of an epoch", () => {
  it("has a column for each class with a sample, with the class's prototype", () => {
    const { columns, rows } = mapsFigure(SAMPLES, "title", "subtitle");
    expect(columns).toEqual(["zero", "two"]);
    const prototypes = rows.find(({ label }) => label === "prototype")?.cells.map((cell) => cell?.pixels);
    expect(prototypes).toEqual([pixels(0.6), pixels(0.8)]);
  });

  it("marks dead maps, and wrong predictions with the predicted class", () => {
    const maps = mapsFigure(SAMPLES, "title", "subtitle").rows.find(({ label }) => label === "map");
    expect(maps?.cells).toMatchObject([
      { dead: true, wrong: false },
      { dead: false, wrong: true },
    ]);
    expect(maps?.captions).toEqual(["", "read as one"]);
  });

  it("is a PNG in the run's folder, whose name sorts by epoch", async () => {
    const warnings: string[] = [];
    const figures = createFigures((message) => warnings.push(message));
    figures.onEvent(start());
    figures.onEvent({ type: "maps", epoch: 2, samples: SAMPLES });
    await figures.written();
    expect(warnings).toEqual([]);
    const png = readFileSync(join(folder, "figures", "epoch-02.png"));
    expect(png.subarray(1, 4).toString("latin1")).toBe("PNG");
  });

  it("that cannot be written causes a warning, and the next one is tried", async () => {
    const warnings: string[] = [];
    const figures = createFigures((message) => warnings.push(message));
    writeFileSync(join(folder, "figures"), "in the way");
    figures.onEvent(start());
    figures.onEvent({ type: "maps", epoch: 1, samples: SAMPLES });
    await figures.written();
    rmSync(join(folder, "figures"));
    figures.onEvent({ type: "maps", epoch: 3, samples: SAMPLES });
    await figures.written();
    expect(warnings).toEqual([expect.stringMatching(/^the figure of epoch 1 could not be drawn: /)]);
    expect(existsSync(join(folder, "figures", "epoch-03.png"))).toBe(true);
  });
});
