import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { cli } from "./support/cli.ts";
import { readEvents } from "./support/event-reader.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("card");
const run = join(folder, "run");
const card = join(run, "README.md");

const train = (...argv: string[]) => cli("train", "--output", folder, "--experiment", "run", "--no-figures", ...argv);
const SMALL = "--limit-train 64 --val-images 30 --limit-test 30 --batch-size 32 --epochs 1".split(" ");

it("a run writes a card, which a run that replaces it rewrites, and files for TensorBoard if asked to", async () => {
  expect(await train(...SMALL, "--tensorboard")).toMatchObject({ code: 0 });
  const first = readFileSync(card, "utf8");
  expect(first).toContain("| `limitTrain` | `64` |");
  expect(first).not.toContain("`lambdaPrototype`");
  const [name = ""] = readdirSync(join(run, "tensorboard"));
  const tags = readEvents(readFileSync(join(run, "tensorboard", name))).flatMap(({ values }) =>
    values.map(({ tag }) => tag),
  );
  expect(tags).toEqual(expect.arrayContaining(["config", "train/loss", "val/accuracy", "test/mapSsim"]));
  await train(...SMALL, "--plain", "--overwrite");
  expect(readFileSync(card, "utf8")).toContain("with cross-entropy alone");
  expect(existsSync(join(run, "tensorboard"))).toBe(false);
});

it("states how much of the weights the warm-up reached, and that two steps show nothing", async () => {
  await train(...SMALL, "--overwrite", "--lambda-warmup", "40");
  expect(readFileSync(card, "utf8")).toMatch(/first 40 steps, and the run took 2: \*\*they reached 5 % at most\*\*/);
  await train(...SMALL, "--overwrite", "--lambda-warmup", "1");
  expect(readFileSync(card, "utf8")).toContain("rose from 0 over the first step of 2.");
  const { err } = await train(...SMALL, "--fast-dev-run");
  expect(err).toBe("");
  expect(readFileSync(join(folder, "run-fast-dev-run", "README.md"), "utf8")).toContain("This was a fast dev run");
});

it("is written even if the run's environment can no longer be read, with a warning", async () => {
  writeFileSync(join(run, "environment.json"), "{");
  const { code, err } = await train("--resume");
  expect([code, err]).toEqual([
    0,
    expect.stringMatching(/card does not describe the environment: cannot read .*environment\.json/),
  ]);
  expect(readFileSync(card, "utf8")).toContain("libtorch unknown");
});

it("does not replace a broken link", async () => {
  rmSync(card);
  symlinkSync(join(folder, "elsewhere.md"), card);
  expect((await train(...SMALL, "--overwrite")).err).toMatch(/was not written by batch-cam/);
  expect(existsSync(join(folder, "elsewhere.md"))).toBe(false);
  rmSync(card);
});

it("does not replace a README.md that batch-cam did not write, with a warning", async () => {
  writeFileSync(card, "my own notes\n");
  const { code, err } = await train(...SMALL, "--overwrite");
  expect(code).toBe(0);
  expect(err).toMatch(/README\.md was not written by batch-cam and is left as it is/);
  expect(readFileSync(card, "utf8")).toBe("my own notes\n");
});
