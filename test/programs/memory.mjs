// Measures the memory of programs that never call dispose: `node memory.mjs <scenario>` prints one line of JSON.
import { setImmediate } from "node:timers/promises";
import { backward, conv2d, grad, memory, noGrad, ones, randn, setNumThreads, tidy, zeros } from "batch-cam/tensor";
import { train } from "batch-cam/train";

const MiB = 2 ** 20;
const rss = () => process.memoryUsage().rss / MiB;

const scenarios = {
  /** Makes tensors without references, outside tidy: the garbage collector must know their size and free them. */
  async forgotten() {
    const loop = async (rounds) => {
      for (let i = 0; i < rounds; i++) {
        for (let j = 0; j < 4; j++) zeros([MiB / 4]).add(1);
        await setImmediate();
      }
    };
    await loop(50);
    const before = rss();
    let most = 0;
    for (let i = 0; i < 20; i++) {
      await loop(20);
      most = Math.max(most, rss());
    }
    return { made: 20 * 20 * 8, growth: most - before, live: memory().liveTensors };
  },

  /** The same with small tensors, which fill memory only by their number. */
  async forgottenSmall() {
    for (let i = 0; i < 400; i++) {
      for (let j = 0; j < 500; j++) zeros([4]);
      await setImmediate();
    }
    return { made: 200_000, live: memory().liveTensors };
  },

  async collected() {
    const before = memory();
    (() => {
      for (let i = 0; i < 1000; i++) zeros([1000]);
    })();
    const made = memory().liveTensors - before.liveTensors;
    for (let i = 0; i < 20 && memory().liveTensors > before.liveTensors; i++) {
      global.gc();
      await setImmediate();
    }
    return { made, left: memory().liveTensors - before.liveTensors, bytes: memory().bytes - before.bytes };
  },

  /** Double backward passes, as in a guided training step. */
  async steps() {
    setNumThreads(1); // other tests may be using the machine
    const weights = [randn([8, 1, 3, 3]), randn([8, 8, 3, 3])].map((w) => w.mul_(0.1).requiresGrad_());
    const x = randn([16, 1, 28, 28]);
    const step = () =>
      tidy(() => {
        const activations = conv2d(conv2d(x, weights[0]).relu(), weights[1]).relu();
        const score = activations.mean([2, 3]).square().sum();
        const [slope] = grad(score, [activations], { createGraph: true });
        backward(score.add(slope.mul(activations).relu().sum()));
        noGrad(() => {
          for (const w of weights) {
            w.add_(w.grad.mul(-1e-4));
            w.grad = null;
          }
        });
      });
    const marks = [];
    for (let i = 0; i <= 1000; i++) {
      step();
      if (i % 100 === 0) {
        await setImmediate();
        marks.push({ ...memory(), rss: rss() });
      }
    }
    return marks;
  },

  /** Runs the real trainer for 2,000 guided steps, and reports the memory in use at the end of every epoch. */
  async training(output) {
    const marks = [];
    const config = {
      dataset: "mnist",
      output,
      limitTrain: 800,
      valImages: 100,
      limitTest: 100,
      batchSize: 8,
      epochs: 20,
    };
    await train(config, {
      onEvent: ({ type, record }) => {
        if (type !== "epoch") return;
        global.gc(); // V8 does not collect its own garbage before it fills some tens of MB
        marks.push({ step: record.step, ...memory(), rss: rss() });
      },
    });
    return marks;
  },

  /** Ends the process while tensors, a graph and a tidy scope are alive. */
  async exit() {
    globalThis.kept = ones([100, 100], { requiresGrad: true })
      .matmul(ones([100, 100]))
      .sum();
    return { live: memory().liveTensors };
  },

  async exitWithinTidy() {
    process.stdout.write(`${JSON.stringify({ live: 1 })}\n`);
    tidy(() => {
      globalThis.kept = ones([10]);
      process.exit(0);
    });
  },
};

const [scenario, ...rest] = process.argv.slice(2);
console.log(JSON.stringify(await scenarios[scenario](...rest)));
