// Uses the engine in worker threads: `node worker.mjs <scenario>` prints one line of JSON.
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";

const script = new URL("worker-task.mjs", import.meta.url);
const start = (task, data = {}) => new Worker(script, { workerData: { task, ...data } });

/** Runs a task in a worker; returns the message that it posts and its exit code. */
async function run(task, data) {
  const worker = start(task, data);
  const ending = { message: undefined, error: undefined };
  worker.on("message", (message) => Object.assign(ending, { message }));
  worker.on("error", (error) => Object.assign(ending, { error: error.message }));
  const code = await new Promise((resolve) => worker.on("exit", resolve));
  return { ...ending, code };
}

const engine = () => import("batch-cam/tensor");
const training = async () => (await import("./worker-task.mjs")).train;

const scenarios = {
  async sameBits() {
    const train = await training();
    const [here, there] = [train(5), (await run("train", { seed: 5 })).message];
    return { equal: here === there, differs: here !== train(6) };
  },

  async twoAtOnce() {
    const train = await training();
    const both = Promise.all([run("train", { seed: 1, steps: 200 }), run("train", { seed: 2, steps: 200 })]);
    const [a, b] = await both;
    return { a: a.message === train(1, 200), b: b.message === train(2, 200) };
  },

  async modesApart() {
    const { randn, isGradEnabled } = await engine();
    const others = [run("modes", { rounds: 500 }), run("modes", { rounds: 500 })];
    const x = randn([64, 64], { requiresGrad: true });
    const seen = new Set();
    for (let i = 0; i < 300; i++) {
      const y = x.matmul(x);
      seen.add(`${y.dtype} ${y.requiresGrad} ${isGradEnabled()}`);
      y.dispose();
      if (i % 10 === 0) await setTimeout(1);
    }
    return { here: [...seen], there: (await Promise.all(others)).map(({ message }) => message) };
  },

  async freedAtExit() {
    const { memory } = await engine();
    const before = memory();
    const { message, code } = await run("hold", { elements: 2 ** 22 });
    return {
      live: message,
      code,
      peak: memory().peakBytes - before.peakBytes,
      left: memory().bytes - before.bytes,
      mine: memory().liveTensors,
    };
  },

  async terminated() {
    const { ones } = await engine();
    for (let i = 0; i < 12; i++) {
      const workers = [start("spin"), start("spin")];
      await Promise.all(workers.map((worker) => once(worker, "online")));
      await setTimeout(150 + 17 * i);
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    return {
      sum: ones([100, 100])
        .matmul(ones([100, 100]))
        .sum()
        .item(),
    };
  },

  /** Ends the main thread while a worker computes. */
  async abandoned() {
    start("spin");
    await setTimeout(400);
    process.stdout.write(`${JSON.stringify({ leaving: true })}\n`);
    process.exit(0);
  },

  /** Loads the addon only in workers, and again after the last one has ended. */
  async workersOnly() {
    const endings = [];
    for (let i = 0; i < 4; i++) endings.push(await run("train", { seed: 3 }));
    return { codes: endings.map(({ code }) => code), equal: new Set(endings.map(({ message }) => message)).size === 1 };
  },

  async failures() {
    const { ones } = await engine();
    const [failed, exited] = [await run("fail"), await run("exit")];
    return { failed: [failed.error, failed.code], exited: exited.code, still: ones([2]).sum().item() };
  },

  async sentTensor() {
    const { ones } = await engine();
    return (await run("receive", { sent: ones([2]) })).message;
  },

  async many() {
    const { memory } = await engine();
    const codes = new Set();
    for (let i = 0; i < 15; i++) codes.add((await run("hold", { elements: 1000 })).code);
    return { codes: [...codes], bytes: memory().bytes };
  },
};

console.log(JSON.stringify(await scenarios[process.argv[2]]()));
