import type { ChildProcess } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { DoneRun } from "../src/workflows/study/records.ts";
import { BIN, runNode, startNode } from "./support/node-process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const folder = temporaryFolder("compare");

const start = (...argv: string[]) => startNode([BIN, "compare", ...argv], { cwd: folder });
const compare = (...argv: string[]) => runNode([BIN, "compare", ...argv], { cwd: folder });

function grid(name: string, text: string): string {
  writeFileSync(join(folder, `${name}.yaml`), text);
  return `${name}.yaml`;
}

const storeOf = (name: string) => join(folder, "runs", "compare", name);
const recordsIn = (name: string) =>
  readdirSync(join(storeOf(name), "cells")).map(
    (file) => JSON.parse(readFileSync(join(storeOf(name), "cells", file), "utf8")) as DoneRun,
  );

const SMALL = "limitTrain: 256, valImages: 50, limitTest: 100, batchSize: 32, lambdaWarmup: 2, amp: off";

describe("a grid", () => {
  const rows = `
base: { ${SMALL}, epochs: 1 }
models: [{ name: small, model: simple-cnn }]
methods:
  - { name: plain, plain: true }
  - { name: wild, lr: 1.0e+30 }
  - { name: guided, distance: l1 }
explanations: 20
`;
  const path = grid("study", `${rows}seeds: [4]\n`);

  it("runs its runs in separate processes, records the failure of one, and prints the results of the others", async () => {
    const { code, out, err } = await compare(path, "--jobs", "2", "--threads", "1");
    expect(code, out + err).toBe(1);
    expect(out).toMatch(/^3 runs, 2 at a time, 1 thread each; 0 of 3 done before\n/);
    for (const k of [1, 2, 3]) expect(out).toMatch(new RegExp(`^\\[${k}/3\\] small  mnist  `, "m"));
    expect(out).toMatch(/^small +mnist +guided +1 +\d+\.\d\d% /m);
    expect(out).toMatch(/^small +mnist +wild +0 of 1 +- /m);
    expect(out).toMatch(/\nreport: runs\/compare\/study\/report\.html\nresults: runs\/compare\/study\n$/);
    const page = readFileSync(join(storeOf("study"), "report.html"), "utf8");
    expect(page).toContain("<h3>Failed: 1</h3>");
    expect(page).toContain(">Faithfulness and localisation of Grad-CAM’s maps</h3>");
    expect(err).toMatch(/failed: small {2}mnist {2}wild {2}seed 4: .*crossEntropy is .*\(E_NUMERIC\)\n/);
    expect(`${out}${err}`.split("crossEntropy is")).toHaveLength(2); // printed once
    const records = recordsIn("study");
    expect(records.map(({ method, status }) => `${method} ${status}`).sort()).toEqual([
      "guided done",
      "plain done",
      "wild failed",
    ]);
    for (const { status, test, environment, explanations, samples } of records) {
      if (status !== "done") continue;
      expect(test.images).toBe(100);
      expect(environment.threads).toBe(1);
      expect(explanations?.images).toBe(20);
      expect(samples.meanMaps).toHaveLength(10);
    }
    expect(readdirSync(storeOf("study")).sort()).toEqual(["cells", "grid.yaml", "report", "report.html", "runs.csv"]);
  });

  it("does not repeat finished runs, nor failed ones with --keep-failed", async () => {
    const times = () =>
      readdirSync(join(storeOf("study"), "cells")).map(
        (name) => statSync(join(storeOf("study"), "cells", name)).mtimeMs,
      );
    const before = times();
    const { code, out } = await compare(path, "--keep-failed");
    expect(code).toBe(1);
    expect(out).toMatch(/^3 runs, 1 at a time, 1 thread each; 2 of 3 done, 1 failed before\n/);
    expect(times()).toEqual(before);
  });

  it("runs only the runs that an extended grid adds, in the same folder, and renames existing results", async () => {
    const more = grid(
      "more",
      `${rows.replace("name: guided", "name: by L1").replace("  - { name: wild, lr: 1.0e+30 }\n", "")}seeds: [4, 5]\n`,
    );
    const { code, out, err } = await compare(more, "--name", "study", "--shard", "1/1");
    expect(code, out + err).toBe(0);
    expect(out).toMatch(/^4 runs, 1 at a time, 1 thread each; 2 of 4 done before\n/);
    expect(out).toMatch(/^small +mnist +by L1 +2 +\d+\.\d\d ± \d+\.\d\d% /m);
    expect(recordsIn("study")).toHaveLength(5);
    const list = await compare(join("runs", "compare", "study", "grid.yaml"), "--list", "--name", "study");
    expect(list.out).toMatch(/\n4 runs: 4 done\n$/);
  });

  it("can be split into shares, and merged by copying records", async () => {
    const ids = async (...argv: string[]) => {
      const { out } = await compare(path, "--list", ...argv);
      return [...out.matchAll(/^([0-9a-f]{16}) /gm)].map(([, id]) => id);
    };
    const shares = [...(await ids("--shard", "1/2")), ...(await ids("--shard", "2/2"))];
    expect(shares.sort()).toEqual((await ids()).sort());
    cpSync(join(storeOf("study"), "cells"), join(storeOf("merged"), "cells"), { recursive: true });
    const { code, out } = await compare(path, "--name", "merged", "--keep-failed");
    expect(code).toBe(1);
    expect(out).toMatch(/; 2 of 3 done, 1 failed before\n/);
  });
});

describe("an interrupted grid", () => {
  const text = `
base: { ${SMALL}, epochs: 12, checkpointEvery: 3 }
methods: [{ name: plain, plain: true }, { name: guided, distance: ssim }]
seeds: 1
threads: 1
explanations: 10
`;

  /** Waits until the training of a run has a checkpoint, and returns the pid of its process. */
  async function midway(name: string, child: ChildProcess): Promise<number> {
    for (; child.exitCode === null && child.signalCode === null; await wait(10)) {
      const [claim] = existsSync(join(storeOf(name), "claims")) ? readdirSync(join(storeOf(name), "claims")) : [];
      const id = claim?.match(/^([0-9a-f]{16})\.lock$/)?.[1];
      if (id === undefined || !existsSync(join(storeOf(name), "runs", id, "checkpoints", "last.safetensors"))) continue;
      try {
        return JSON.parse(readFileSync(join(storeOf(name), "claims", claim as string), "utf8")).pid;
      } catch {} // the run has ended, so the next one is looked at
    }
    throw new Error("the grid was over before its end could be cut off");
  }

  async function gone(pid: number, ms = 60_000): Promise<void> {
    for (const deadline = Date.now() + ms; Date.now() < deadline; await wait(20)) {
      try {
        process.kill(pid, 0);
      } catch {
        return;
      }
    }
    throw new Error(`process ${pid} lives on`);
  }

  /** A record without the values that depend on time. */
  function numbersOf({ seconds: _, secondsPerStep: _step, environment: _environment, history, ...rest }: DoneRun) {
    return { ...rest, history: history.map(({ secondsPerEpoch: _epoch, ...epoch }) => epoch) };
  }

  it("by kills of the grid and of a run, and by Ctrl-C, continues to the numbers of an uninterrupted one, bit for bit", async () => {
    expect((await compare(grid("whole", text))).code).toBe(0);
    const path = grid("broken", text);

    const killed = start(path);
    const orphan = await midway("broken", killed.child);
    killed.child.kill("SIGKILL");
    expect(await killed.ended).toBe("SIGKILL");
    await gone(orphan); // the process ends by itself, with a checkpoint
    expect((await compare(path, "--list")).out).toMatch(/ begun\n/);

    const interrupted = start(path);
    await midway("broken", interrupted.child);
    interrupted.child.kill("SIGINT");
    expect(await interrupted.ended, interrupted.text.err).toBe(130);
    expect(interrupted.text.err).toMatch(
      /stopping each run after its step with a checkpoint .*\nto continue: give the same command again\n$/,
    );

    const crashed = start(path);
    process.kill(await midway("broken", crashed.child), "SIGKILL");
    expect(await crashed.ended, crashed.text.err).toBe(1);
    expect(crashed.text.err).toMatch(/failed: .*killed by SIGKILL.*\(E_CRASH\)/);

    const last = await compare(path);
    expect(last.code, last.out + last.err).toBe(0);
    const [whole, broken] = [recordsIn("whole"), recordsIn("broken")];
    expect(broken.map(numbersOf)).toEqual(whole.map(numbersOf));
    expect(whole.map(({ status }) => status)).toEqual(["done", "done"]);
    for (const name of ["runs", "claims"]) expect(existsSync(join(storeOf("broken"), name))).toBe(false);
  });

  it("by a second signal leaves no process of a run behind", async () => {
    const running = start(grid("twice", text));
    const child = await midway("twice", running.child);
    running.child.kill("SIGTERM");
    for (; !running.text.err.includes("stopping"); ) await wait(5);
    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(143);
    await gone(child, 5_000);
  });

  it("can be run by two processes at the same time without running a run twice", async () => {
    const path = grid("shared", text.replace("seeds: 1", "seeds: 2").replace("epochs: 12", "epochs: 1"));
    const both = await Promise.all([compare(path, "--keep-runs"), compare(path, "--keep-runs")]);
    expect(
      both.map(({ code }) => code),
      both.map(({ err }) => err).join(),
    ).toEqual([0, 0]);
    const ran = both.flatMap(({ out }) => out.match(/^\[\d\/4\] .* ms\/step {2}\d.*(s|min)$/gm) ?? []);
    expect(ran).toHaveLength(4);
    for (const { id } of recordsIn("shared"))
      expect(existsSync(join(storeOf("shared"), "runs", id, "checkpoints", "best.safetensors"))).toBe(true);
    for (const { out } of both) expect(out.match(/^\[\d\/4\] /gm)).toHaveLength(4);
    expect(existsSync(join(storeOf("shared"), "claims"))).toBe(false);
  });
});
