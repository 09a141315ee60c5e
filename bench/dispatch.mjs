// Measures the cost of calling an operator, on a tensor of eight floats, for which the arithmetic takes almost no time.
//   node bench/dispatch.mjs [--python python3] [--rounds 15] [--calls 100000] [--json]
// With --python, the same is measured for torch in that Python, alternating round by round.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ones, setNumThreads, tidy } from "batch-cam/tensor";
import { median } from "./statistics.mjs";

const { values } = parseArgs({
  options: {
    python: { type: "string" },
    rounds: { type: "string", default: "15" },
    calls: { type: "string", default: "100000" },
    json: { type: "boolean", default: false },
  },
});
const [rounds, calls] = [Number(values.rounds), Number(values.calls)];

setNumThreads(1);
const [a, b, weight] = [ones([8]), ones([8]), ones([8], { requiresGrad: true })];

/** Results are freed as in a training step: 100 at a time by tidy. Python frees each by its reference count. */
const OPERATORS = {
  add: () => a.add(b),
  add_: () => a.add_(0),
  "add, recorded": () => weight.add(b),
  sum: () => a.sum(),
  reshape: () => a.reshape([2, 4]),
};

/** @param {() => unknown} operator */
function measure(operator) {
  const start = process.hrtime.bigint();
  for (let i = 0; i < calls; i += 100) {
    tidy(() => {
      for (let j = 0; j < 100; j++) operator();
    });
  }
  return Number(process.hrtime.bigint() - start) / calls;
}

/** Starts the peer, which answers line by line. @param {string} python */
async function startPeer(python) {
  const script = fileURLToPath(new URL("peers/dispatch.py", import.meta.url));
  const child = spawn(python, [script], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${python} ended: does it have torch?`);
    return value;
  };
  const version = await answer();
  return {
    version,
    measure: async (/** @type {string} */ name) => {
      child.stdin.write(`${name} ${calls}\n`);
      return Number(await answer());
    },
    stop: () => child.kill(),
  };
}

/** @param {number[]} times */

const peer = values.python ? await startPeer(values.python) : undefined;
const results = [];
for (const [name, operator] of Object.entries(OPERATORS)) {
  /** @type {number[]} */
  const here = [];
  /** @type {number[]} */
  const there = [];
  for (let round = -2; round < rounds; round++) {
    const [own, theirs] = [measure(operator), await peer?.measure(name)];
    if (round < 0) continue; // warm-up
    here.push(own);
    if (theirs !== undefined) there.push(theirs);
  }
  const [ours, theirs] = [median(here), peer ? median(there) : undefined];
  results.push({ operator: name, nanoseconds: ours, ...(theirs && { torch: theirs, ratio: ours / theirs }) });
}
peer?.stop();

if (values.json) {
  console.log(JSON.stringify({ rounds, calls, torch: peer?.version, results }, null, 2));
} else {
  console.log(
    `medians of ${rounds} rounds of ${calls} calls on 8 floats, one thread${peer ? `; torch ${peer.version}` : ""}`,
  );
  console.table(
    Object.fromEntries(
      results.map(({ operator, nanoseconds, torch }) => [
        operator,
        {
          "batch-cam ns": Math.round(nanoseconds),
          ...(torch && { "torch ns": Math.round(torch), ratio: Number((nanoseconds / torch).toFixed(2)) }),
        },
      ]),
    ),
  );
}
