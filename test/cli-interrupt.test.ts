import { describe, expect, it } from "vitest";
import { createTrainCommand } from "../src/cli/commands/train.ts";
import { runCommand } from "../src/cli/main.ts";
import type { Train } from "../src/cli/training.ts";
import { BatchCamError } from "../src/errors.ts";
import type { TrainResult } from "../src/train/events.ts";
import { fakeIo } from "./support/fake-terminal.ts";

const RESULT: TrainResult = {
  runDirectory: "runs/a",
  interrupted: false,
  step: 3,
  history: [],
  test: null,
  bestEpoch: 1,
  checkpoint: "runs/a/checkpoints/last.safetensors",
  best: null,
  seconds: 1,
};

const renderReport = async () => "<html></html>";

describe("Ctrl-C", () => {
  /** A trainer that gets a signal, and ends with a checkpoint as the real one does when it is aborted. */
  const interrupted =
    (fire: () => void, runDirectory = "runs/a"): Train =>
    async (_, { signal }) => {
      fire();
      return { ...RESULT, runDirectory, interrupted: signal?.aborted === true };
    };

  async function trainUnder(signals: NodeJS.Signals[], runDirectory?: string) {
    const fake = fakeIo();
    const fire = () => {
      for (const name of signals) fake.signals.emit(name, name);
    };
    const code = await runCommand(
      createTrainCommand(async () => ({ train: interrupted(fire, runDirectory), renderReport })),
      [],
      fake.io,
    );
    return { ...fake, code };
  }

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("(%s) ends the run with a checkpoint, tells how to go on and exits with %d", async (name, expected) => {
    const { code, text, exits, signals } = await trainUnder([name]);
    expect(code).toBe(expected);
    expect(exits).toEqual([]);
    expect(text.err).toMatch(/stopping after this step with a checkpoint/);
    expect(text.err).toContain("to go on: npx batch-cam train --resume runs/a\n");
    expect(signals.listenerCount(name)).toBe(0);
  });

  it("given twice exits at once", async () => {
    expect((await trainUnder(["SIGINT", "SIGINT"])).exits).toEqual([130]);
    expect((await trainUnder(["SIGINT", "SIGTERM"])).exits).toEqual([143]);
  });

  it("of a reader that closed its pipe ends the run once, in silence", async () => {
    const { code, exits, text } = await trainUnder(["SIGPIPE", "SIGPIPE"]);
    expect({ code, exits }).toEqual({ code: 141, exits: [] });
    expect(text.err).not.toContain("stopping");
  });

  it.each([
    ["two words", "--resume='two words'"],
    ["it's", "--resume='it'\\''s'"],
    ["-x", "--resume='-x'"],
  ])("quotes the directory %s for the shell", async (directory, quoted) => {
    expect((await trainUnder(["SIGINT"], directory)).text.err).toContain(`npx batch-cam train ${quoted}\n`);
  });

  it("counts for nothing when the run was over already", async () => {
    const fake = fakeIo();
    const train: Train = async () => {
      fake.signals.emit("SIGINT", "SIGINT");
      return RESULT;
    };
    expect(
      await runCommand(
        createTrainCommand(async () => ({ train, renderReport })),
        ["--no-figures"],
        fake.io,
      ),
    ).toBe(0);
  });

  it("is the process's own again after a failure", async () => {
    const { io, signals } = fakeIo();
    const train: Train = async () => Promise.reject(new BatchCamError("E_DATA", "gone"));
    await expect(
      runCommand(
        createTrainCommand(async () => ({ train, renderReport })),
        [],
        io,
      ),
    ).rejects.toThrow("gone");
    expect(signals.eventNames()).toEqual([]);
  });
});
