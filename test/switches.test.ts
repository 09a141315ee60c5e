import { describe, expect, it } from "vitest";
import { BIN, runNode } from "./support/node-process.ts";

const TENSOR = new URL("../dist/tensor.js", import.meta.url).href;

const node = (args: string[], env: Record<string, string> = {}) => runNode(args, { env });
const program = (text: string) => [
  "--input-type=module",
  "--eval",
  `import * as t from ${JSON.stringify(TENSOR)};\n${text}`,
];

describe("the engine", () => {
  it("does not start with kernels of a level that nobody knows, as a program's error and a command's one line", async () => {
    const env = { BATCH_CAM_KERNELS: "garbage" };
    const loaded = await node(["--input-type=module", "--eval", `await import(${JSON.stringify(TENSOR)})`], env);
    expect(loaded.err).toMatch(/BatchCamError: environment variable BATCH_CAM_KERNELS: expected one of baseline,/);
    const { code, err } = await node([BIN, "train", "--output", "/dev/null/nowhere"], env);
    expect(err).toMatch(/^batch-cam: train: environment variable BATCH_CAM_KERNELS: [^\n]* got "garbage"[^\n]*\n$/);
    expect(code).toBe(2);
  });

  it("runs at most the level that is asked for, and says which it is", async () => {
    const { out } = await node(program("console.log(JSON.stringify(t.capabilities()))"), {
      BATCH_CAM_KERNELS: "baseline",
      BATCH_CAM_BFLOAT16: "on",
    });
    expect(JSON.parse(out)).toMatchObject({ kernels: "baseline", fastBfloat16: true });
  });

  it("passes a warning of libtorch's on once, as a warning of the process, in a worker too", async () => {
    // libtorch warns each time that the variance of a single value is computed.
    const text = "for (let i = 0; i < 3; i++) t.ones([1]).var().item();";
    const alone = await node(program(`process.on("warning", (w) => console.log(w.name, w.message));\n${text}`));
    expect(alone.out.match(/^Warning libtorch: var\(\): degrees of freedom is <= 0/gm)).toHaveLength(1);
    expect(alone.err.match(/degrees of freedom/g)).toHaveLength(1);
    expect(alone.err).toMatch(/^\(node:\d+\) Warning: libtorch: var/);
    const source = JSON.stringify(`import(${JSON.stringify(TENSOR)}).then((t) => { ${text} })`);
    const worker = await node(
      program(`import { Worker } from "node:worker_threads"; new Worker(${source}, { eval: true });`),
    );
    expect(worker.err.match(/Warning: libtorch: var/g)).toHaveLength(1);
    expect(worker.err).not.toMatch(/\[W\d+/);
  });
});
