import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cli } from "./support/cli.ts";
import { readEvents } from "./support/event-reader.ts";
import { drawClass } from "./support/image-folder.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("description");
const cacheBefore = process.env.BATCH_CAM_CACHE;
beforeAll(async () => {
  process.env.BATCH_CAM_CACHE = join(folder, "cache");
  for (const name of ["cat", "dog"]) await drawClass(join(folder, "photos"), name, { count: 30 });
}, 60_000);
afterAll(() => {
  if (cacheBefore === undefined) delete process.env.BATCH_CAM_CACHE;
  else process.env.BATCH_CAM_CACHE = cacheBefore;
});

const inRun = (run: string, name: string) => join(folder, run, name);
const text = (run: string, name: string) => readFileSync(inRun(run, name), "utf8");
const json = (run: string, name: string) => JSON.parse(text(run, name));

async function train(...argv: string[]) {
  const { code, ...text } = await cli("train", ...argv);
  expect(code, text.err).toBe(0);
  return text;
}

const begin = (experiment: string, ...argv: string[]) =>
  train(
    ...`--dataset folder --data-dir ${join(folder, "photos")} --image-size 16 --image-channels 1 --limit-train 32`.split(
      " ",
    ),
    ...`--output ${folder} --experiment ${experiment} --batch-size 16 --epochs 1 --plain --no-figures`.split(" "),
    ...`--threads 1 --amp off --log-every 1`.split(" "),
    ...argv,
  );
const resume = (run: string, ...argv: string[]) => train("--resume", join(folder, run), ...argv);

/** Runs the command of a run's model card, and compares the last weights bit for bit. */
async function expectSameAgain(run: string, command: RegExp) {
  const [, words = ""] = text(run, "README.md").match(/`npx batch-cam train (.*?)` trains it again\./) ?? [];
  expect(words).toMatch(command);
  await train(...words.split(" "));
  const last = (name: string) => readFileSync(inRun(name, "checkpoints/last.safetensors")).subarray(-3_000_000);
  expect(last(`${run}-again`).equals(last(run))).toBe(true);
}

describe("a run that was resumed", () => {
  it("has its new number of epochs in its config, and its card's command trains all of them", async () => {
    await begin("longer");
    await resume("longer", "--epochs", "2", "--max-steps", "3");
    expect(json("longer", "config.json")).toMatchObject({ epochs: 2 });
    await resume("longer", "--max-steps", "99", "--log-every", "5", "--no-deterministic");
    const config = json("longer", "config.json");
    expect(config).toMatchObject({ epochs: 2, resume: false, logEvery: 1, threads: 1 });
    expect(config).not.toHaveProperty("maxSteps");
    expect(text("longer", "README.md")).toContain("| `epochs` | `2` |");
    await expectSameAgain("longer", /-again$/);
  });

  it("has fewer epochs in its config if it ends earlier", async () => {
    await begin("shorter", "--epochs", "4", "--max-steps", "3");
    await resume("shorter", "--epochs", "2", "--max-steps", "99");
    expect(json("shorter", "config.json")).toMatchObject({ epochs: 2 });
    // The limit that the run started with was replaced, because it would be wrong for a run of 4 steps.
    expect(json("shorter", "config.json")).toMatchObject({ maxSteps: 99 });
    await expectSameAgain("shorter", /-again$/);
  });

  it("names the limit that ended it in its command but not in its config, if that was given on resuming", async () => {
    await begin("limited");
    await resume("limited", "--epochs", "3", "--max-steps", "3");
    expect(json("limited", "config.json")).not.toHaveProperty("maxSteps");
    await expectSameAgain("limited", /-again --max-steps 3$/);
  });

  it("does not change its config, byte for byte, unless its description changes", async () => {
    await begin("same");
    const before = text("same", "config.json");
    await resume("same", "--threads", "1", "--keep-epochs", "2");
    expect(text("same", "config.json")).toBe(before);
    expect(json("same", "environment.json")).not.toHaveProperty("resumed");
    // The number of images that the run is tested on is part of its description.
    await resume("same", "--limit-test", "5");
    expect(json("same", "config.json").limitTest).toBe(5);
    expect(text("same", "README.md")).toContain("On the 5 test images");
  });

  it("records in its environment, its card and its report the step from which it had other threads", async () => {
    await begin("threads", "--tensorboard");
    await resume("threads", "--threads", "2"); // the run is complete, so no step used the other threads
    expect(text("threads", "README.md")).toMatch(/threads 1, .*trains it again/);
    await resume("threads", "--epochs", "2", "--threads", "2", "--figures");
    expect(json("threads", "environment.json")).toMatchObject({ threads: 1, resumed: [{ fromStep: 3, threads: 2 }] });
    for (const name of ["README.md", "report.html"]) {
      expect(text("threads", name)).toMatch(/threads.*1, and 2 from step 3 on/);
      expect(text("threads", name)).toMatch(/were trained in different environments \(threads 1, 2 from step 3 on\)/);
    }
    expect(text("threads", "report.html")).not.toContain("should give the same numbers");
    await resume("threads", "--epochs", "3");
    const parts = json("threads", "environment.json").resumed;
    expect(parts.map(({ fromStep, threads }: { fromStep: number; threads: number }) => [fromStep, threads])).toEqual([
      [3, 2],
      [5, 1],
    ]);
    const events = readdirSync(inRun("threads", "tensorboard")).sort();
    const configs = events.flatMap((name) =>
      readEvents(readFileSync(inRun("threads", join("tensorboard", name)))).flatMap(({ values }) =>
        values.flatMap(({ tag, text: table }) => (tag === "config" ? [table?.match(/\| epochs \| (\d)/)?.[1]] : [])),
      ),
    );
    expect(configs).toEqual(["1", "1", "2", "3"]);
  });

  it("refuses other epochs if its schedule depends on them, in one line with the reason and advice", async () => {
    await begin("cosine", "--sched", "cosine", "--epochs", "2", "--max-steps", "1");
    const { code, ...text } = await cli("train", "--resume", join(folder, "cosine"), "--epochs", "1");
    expect(code).toBe(2);
    expect(text.err).toMatch(
      /--epochs \(the run has 2, got 1\)\. .*\(--sched cosine\) spans the run's 2 epochs: over 1, .*; leave --epochs out .*earlier with --max-steps[^\n]*\n$/,
    );
    const longer = await cli("train", "--resume", join(folder, "cosine"), "--epochs", "9");
    expect(longer.err).toContain(
      `with --epochs 9 from the start, or with --weights ${join(folder, "cosine")} to continue`,
    );
  });
});
