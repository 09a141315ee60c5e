import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCommand } from "../src/cli/main.ts";
import { createTrainCommand } from "../src/cli/train/command.ts";
import type { Train } from "../src/cli/train/training.ts";
import { BatchCamError } from "../src/errors.ts";
import type { TrainResult } from "../src/train/run/events.ts";
import { fakeIo } from "./support/fake-terminal.ts";
import { BIN, startNode } from "./support/node-process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const RESULT: TrainResult = {
  runDirectory: "runs/a",
  interrupted: false,
  endedBy: "epochs",
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
  /** A trainer that receives a signal and ends with a checkpoint, as the real one does when it is aborted. */
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
    ["SIGHUP", 129],
  ] as const)(
    "(%s) ends the run with a checkpoint, prints how to continue, and exits with %d",
    async (name, expected) => {
      const { code, text, exits, signals } = await trainUnder([name]);
      expect(code).toBe(expected);
      expect(exits).toEqual([]);
      expect(text.err).toMatch(/stopping after this step with a checkpoint/);
      expect(text.err).toContain("to continue: npx batch-cam train --resume runs/a\n");
      expect(signals.listenerCount(name)).toBe(0);
    },
  );

  it("given twice exits at once", async () => {
    expect((await trainUnder(["SIGINT", "SIGINT"])).exits).toEqual([130]);
    expect((await trainUnder(["SIGINT", "SIGTERM"])).exits).toEqual([143]);
  });

  it("of a reader that closed its pipe ends the run once, without a message", async () => {
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

  it("has no effect if the run has already ended", async () => {
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

  it("has its default effect again after a failure", async () => {
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

describe("a real run", () => {
  const folder = temporaryFolder("interrupt");
  const small = [
    "--limit-train=512",
    "--limit-test=50",
    "--val-images=50",
    "--batch-size=32",
    "--log-every=1",
    "--threads=1",
  ];

  function start(...argv: string[]) {
    const running = startNode([BIN, "train", ...argv], { cwd: folder });
    return { ...running, stepped: waitFor(running.child, () => running.text.out.includes("step ")) };
  }

  async function waitFor(child: ChildProcess, condition: () => boolean): Promise<void> {
    while (!condition() && child.exitCode === null) await once(child.stdout ?? child, "data");
  }

  it("stops at Ctrl-C with a checkpoint, and the printed command continues it to the end", async () => {
    const first = start("--experiment=stopped", "--epochs=3", ...small);
    await first.stepped;
    first.child.kill("SIGINT");
    expect(await first.ended, first.text.err).toBe(130);
    expect(first.text.err).toContain("to continue: npx batch-cam train --resume runs/stopped\n");
    const second = start("--resume", "runs/stopped");
    expect(await second.ended, second.text.err).toBe(0);
    expect(second.text.out).toMatch(/^runs\/stopped, resumed at step \d+: /);
    expect(second.text.out).toMatch(/^test: accuracy /m);
    for (const name of ["report.html", "summary.csv", join("figures", "epoch-3.png")]) {
      expect(existsSync(join(folder, "runs", "stopped", name)), name).toBe(true);
    }
  });

  it("refuses an existing run directory, with advice", async () => {
    const again = start("--experiment=stopped");
    expect(await again.ended).toBe(2);
    expect(again.text.err).toMatch(/^batch-cam: train: runs\/stopped [^\n]*--resume[^\n]*--overwrite[^\n]*\n$/);
  });

  it("writes a checkpoint if the reader of its output ends", async () => {
    const run = start("--experiment=piped", "--epochs=50", ...small);
    await run.stepped;
    run.child.stdout.destroy();
    expect(await run.ended, run.text.err).toBe(141);
    expect(existsSync(join(folder, "runs", "piped", "checkpoints", "last.safetensors"))).toBe(true);
  });
});
