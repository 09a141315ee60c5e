import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseTrainConfig, type TrainConfigInput } from "../../config/index.ts";
import type { EpochRecord, SplitRecord, StartEvent, TrainResult } from "../../train/run/events.ts";
import { CARD_MARK } from "./card-mark.ts";
import { modelCard } from "./model-card.ts";

const JUDGED: SplitRecord = {
  ...{ split: "test", images: 10_000, accuracy: 0.9876, crossEntropy: 0.04, mapL1: 0.07, mapL2: 0.02, mapSsim: 0.66 },
  ...{ coherence: 0.91, deadMaps: 0.001, energyInForeground: 0.54 },
};
const EPOCH = {
  ...{ epoch: 1, step: 430, secondsPerEpoch: 12, bestSoFar: true, val: { ...JUDGED, split: "val", accuracy: 0.985 } },
  train: { loss: 0.3, accuracy: 0.93 },
} as unknown as EpochRecord;

function cardOf(config: TrainConfigInput, result: Partial<TrainResult> = {}): string {
  const full = parseTrainConfig(config);
  const start = {
    ...{
      type: "start",
      config: full,
      parameters: 896_906,
      camLayer: "pool2",
      mapSize: [7, 7],
      runDirectory: "runs/a b",
    },
    classNames: ["cats", "do|gs"],
    ...{ trainImages: 55_000, valImages: 5000, testImages: 10_000 },
  } as unknown as StartEvent;
  const ended: TrainResult = {
    ...{
      runDirectory: "runs/a b",
      interrupted: false,
      endedBy: "epochs",
      step: 430,
      history: [EPOCH],
      test: JUDGED,
      bestEpoch: 1,
    },
    ...{
      checkpoint: "runs/a b/checkpoints/last.safetensors",
      best: "runs/a b/checkpoints/best.safetensors",
      seconds: 12.4,
    },
    ...result,
  };
  return modelCard({
    result: ended,
    start,
    options: config,
    ownData: full.dataset === "folder",
    runWord: "'runs/a b'",
    again: "npx batch-cam train --config 'runs/a b/config.json' --experiment 'a b-again'",
    environment: { batchCam: "0.1.0", cpu: "A CPU", threads: 2 },
  });
}

const front = (card: string) => parse(card.split(/^---$/m)[1] as string);

describe("a model card", () => {
  it("has commands for the folder that the run was made in", () => {
    const card = cardOf({});
    expect(card).toContain(
      "`npx batch-cam train --config 'runs/a b/config.json' --experiment 'a b-again'` trains it again.",
    );
    expect(card).toContain("npx batch-cam evaluate 'runs/a b'");
    expect(card).toContain("One test image is 0.01 points.");
    expect(card).toContain("Commands are for the folder that the run was made in.");
  });

  it("has the accuracy of each class, where the record has it", () => {
    const test = { ...JUDGED, classAccuracy: [0.75, null] };
    expect(cardOf({}, { test })).toMatch(/\| class \| accuracy \|\n.*\n\| `cats` \| 0\.7500 \|\n\| `do\\\|gs` \| – \|/);
    expect(cardOf({})).not.toContain("| class |");
  });

  it("judges photographs by no brightness", () => {
    expect(cardOf({})).toContain("energy on foreground");
    expect(cardOf({ dataset: "folder", dataDir: "cats" })).not.toContain("energy on foreground");
  });

  it("has front matter with the test's figures, as the hub reads them", () => {
    const { tags, datasets, library_name, ...rest } = front(cardOf({}));
    expect([library_name, datasets, tags.includes("grad-cam")]).toEqual(["batch-cam", ["mnist"], true]);
    const [{ results }] = rest["model-index"];
    expect(results[0].dataset).toEqual({ name: "mnist", type: "mnist", split: "test" });
    expect(results[0].metrics).toContainEqual({ type: "accuracy", name: "accuracy", value: 0.9876 });
    expect(results[0].metrics).toContainEqual({
      type: "map_ssim_to_prototype",
      name: "map_ssim_to_prototype",
      value: 0.66,
    });
  });

  it("says in words what the maps were asked for, with the weights, the distance and the layer", () => {
    const card = cardOf({ distance: "l1", lambdaBatch: 0.25 });
    expect(card).toContain(
      "cross-entropy and 2 times the Prototype Loss and 0.25 times the Batch-CAM Loss, by the distance L1",
    );
    expect(card).toContain("7x7, from the layer `pool2`");
    expect(card).toContain("55,000 images; 5,000 for validation, 10,000 for the test");
    expect(card).toContain("They do not prove that the model decides by the object");
    expect(card).toContain(CARD_MARK);
  });

  it("of a plain run, a baseline and a control says so", () => {
    const plain = cardOf({ plain: true });
    expect(plain).toContain("with cross-entropy alone");
    expect(plain).not.toContain("They are no proof");
    expect(cardOf({ dataset: "decoy-mnist", baseline: "rrr", lambdaBaseline: 10 })).toContain(
      "10 times the term of the baseline rrr (",
    );
    expect(cardOf({ prototypes: "shuffled" })).toMatch(
      /\*\*This is a control: its maps were guided to shuffled prototypes/,
    );
  });

  it("warns of what flatters validation on sets with a cue", () => {
    expect(cardOf({ dataset: "decoy-mnist" })).toContain("have a patch whose grey reveals the class");
    expect(cardOf({ dataset: "color-mnist" })).toContain("are painted in the colour of their class");
    expect(cardOf({})).not.toContain("flatters");
  });

  it("of a run that was stopped says where, and claims no results", () => {
    const card = cardOf({}, { interrupted: true, test: null, history: [], best: null });
    expect(card).toContain("**It was stopped at step 430, and has not been tested.**");
    expect(card).not.toContain("## Results");
    expect(front(card)["model-index"]).toBeUndefined();
    expect(card).toContain('load_file("checkpoints/last.safetensors")');
  });

  it("lists the options that were chosen, or says that none were", () => {
    expect(cardOf({ lr: 0.002, opt: "sgd" })).toContain("| `lr` | `0.002` |\n| `opt` | `sgd` |");
    expect(cardOf({})).toContain("All options were the default ones.");
  });

  it("keeps every table whole whatever a path holds, and quotes it for the shell", () => {
    const card = cardOf({ dataset: "folder", dataDir: "some/a|b `c`\n# no heading" });
    expect(front(card).datasets).toBeUndefined();
    expect(front(card)["model-index"][0].results[0].dataset.name).toBe("a|b `c`\n# no heading");
    expect(card).not.toMatch(/^# no heading/m);
    expect(card).toContain("| ``some/a\\|b `c` # no heading`` |");
    expect(card).toContain("in ``some/a|b `c` # no heading`` (");
    expect(card).toContain("--run 'runs/a b' image.png");
  });

  it("has front matter that gives any name back, and one heading", () => {
    const word = fc.stringMatching(/^\w[\w.+=@-]{0,20}$/);
    fc.assert(
      fc.property(word, (experiment) => {
        const card = cardOf({ experiment });
        expect(front(card)["model-index"][0].name).toBe(experiment);
        expect(card.match(/^# /gm)).toHaveLength(1);
      }),
      { examples: [["a---"]] },
    );
  });

  it("shows what is not defined as a dash", () => {
    const card = cardOf({}, { test: { ...JUDGED, coherence: Number.NaN } });
    expect(card).toMatch(/coherence ↑ \| – \|/);
    expect(card).not.toContain(".nan");
  });
});
