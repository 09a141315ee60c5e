import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { EpochRecord, JudgedRun, SplitRecord } from "../../train/run/events.ts";
import { decoyAccuracy, decoyInWords, STUDY } from "./decoy-story.ts";

function resultOf(random: number | null): JudgedRun {
  const history = [0.9, 0.98, 0.97].map((accuracy, index) => ({ epoch: index + 1, val: { accuracy } }));
  return {
    ...{ runDirectory: "run", interrupted: false, step: 120, bestEpoch: 2, checkpoint: "last", best: null, seconds: 9 },
    history: history as EpochRecord[],
    test: random === null ? null : ({ images: 2000, accuracy: random } as SplitRecord),
  };
}

function words(plain: number | null, guided: number | null, control: number | null) {
  const { shows, doesNotShow } = decoyInWords({
    plain: resultOf(plain),
    guided: resultOf(guided),
    control: resultOf(control),
  });
  return { shows: shows.replaceAll("\u00a0", " "), doesNotShow: doesNotShow.replaceAll("\u00a0", " ") };
}

describe("what the runs on the decoy set show", () => {
  it("states the accuracies, and that the patch is relied on less, where guidance gains more than seeds differ", () => {
    expect(words(0.783, 0.936, 0.94).shows).toBe(
      "In training a grey patch reveals the class, and on 2,000 test images, where it is drawn at random, the plain network is right for 78.3 % and the guided one for 93.6 %: guidance makes the network rely less on the patch, although nobody marked where the patch is.",
    );
  });

  it.each([0.8, 0.783, 0.6])("claims nothing where the guided network reaches %d", (guided) => {
    const { shows, doesNotShow } = words(0.783, guided, 0.94);
    expect(shows).toContain("here guidance does not make the network rely less on the patch");
    expect(doesNotShow).not.toContain("the gain");
  });

  it.each([
    [
      0.94,
      "as much as the guided one, within the difference between seeds, so the gain comes from guiding the maps to any image",
    ],
    [0.99, "as much as the guided one, within the difference between seeds"],
    [0.88, "which is more than half of the gain"],
    [0.8, "which is less than half of the gain"],
    [0.5, "which is less than half of the gain"],
  ])("never takes the gain for better reasons, whatever the control reaches: %d", (control, part) => {
    const { doesNotShow } = words(0.783, 0.936, control);
    expect(doesNotShow).toContain("It does not show that the network is right for the right reasons");
    expect(doesNotShow).toContain(part);
    expect(doesNotShow).toContain("not from where the prototypes point");
    expect(doesNotShow).toContain(
      "over five seeds the guided network reached 93.6 ± 2.0 % and the control 94.0 ± 0.9 % (docs/reproduction.md)",
    );
  });

  it.each([
    [null, 0.9, 0.9],
    [0.8, null, 0.9],
    [0.8, 0.9, Number.NaN],
  ])("compares nothing where a run has no test: %s, %s, %s", (...accuracies) => {
    const { shows, doesNotShow } = words(...(accuracies as [number | null, number | null, number | null]));
    expect(shows).toContain("There are no test results to compare");
    expect(`${shows} ${doesNotShow}`).not.toMatch(/NaN|null|%/);
  });

  it.each([
    ["both ssim 5", STUDY.guided],
    ["global prototype 5", STUDY.control],
  ])("quotes the study's row %s", (name, { mean, deviation }) => {
    const study = readFileSync(new URL("../../../docs/reproduction.md", import.meta.url), "utf8");
    const row = study.split("\n").find((line) => line.startsWith(`| ${name} |`)); // the first table is decoy-mnist's
    expect(row?.split(" | ")[2]).toBe(`${(100 * mean).toFixed(1)} ± ${(100 * deviation).toFixed(1)}`);
  });

  it("takes the accuracy on images whose patch reveals the class from the best epoch's validation", () => {
    expect(decoyAccuracy(resultOf(0.8))).toEqual({ told: 0.98, random: 0.8 });
    expect(decoyAccuracy({ ...resultOf(null), history: [] })).toEqual({ told: null, random: null });
  });
});
