// The tasks of the worker threads that worker.mjs starts. workerData: { task, ... }. Each posts one message, except the tasks that never
// end.
import { parentPort, workerData } from "node:worker_threads";
import {
  autocast,
  backward,
  conv2d,
  grad,
  manualSeed,
  memory,
  noGrad,
  randn,
  setNumThreads,
  tensor,
  tidy,
  zeros,
} from "batch-cam/tensor";

/** Trains a small network briefly. The same seed must give the same bits in every thread. */
export function train(seed, steps = 20) {
  setNumThreads(1);
  manualSeed(seed);
  const weights = [randn([4, 1, 3, 3]), randn([4, 4, 3, 3])].map((w) => w.mul_(0.2).requiresGrad_());
  for (let i = 0; i < steps; i++) {
    tidy(() => {
      const x = randn([8, 1, 12, 12]);
      const activations = conv2d(conv2d(x, weights[0]).relu(), weights[1]);
      const [slope] = grad(activations.square().mean(), [activations], { createGraph: true });
      backward(activations.relu().mean().add(slope.mul(activations).sum()));
      noGrad(() => {
        for (const w of weights) {
          w.add_(w.grad.mul(-0.01));
          w.grad = null;
        }
      });
    });
  }
  return weights.map((w) => Buffer.from(w.data().buffer).toString("hex")).join();
}

const tasks = {
  train: ({ seed, steps }) => train(seed, steps),
  /** Runs within noGrad and autocast, which must not affect the other threads. */
  modes: ({ rounds }) =>
    noGrad(() =>
      autocast({}, () => {
        const x = randn([64, 64], { requiresGrad: true });
        const dtypes = new Set();
        for (let i = 0; i < rounds; i++)
          tidy(() => void dtypes.add(`${x.matmul(x).dtype} ${x.matmul(x).requiresGrad}`));
        return [...dtypes].join();
      }),
    ),
  hold: ({ elements }) => {
    globalThis.held = zeros([elements]);
    globalThis.heldInGraph = randn([100], { requiresGrad: true }).square();
    return memory().liveTensors;
  },
  spin: () => {
    const x = randn([300, 300], { requiresGrad: true });
    for (;;) tidy(() => void grad(x.matmul(x).relu().sum(), [x]));
  },
  fail: () => {
    globalThis.held = zeros([1000]);
    throw new Error("on purpose");
  },
  exit: () => {
    globalThis.held = zeros([1000]);
    process.exit(3);
  },
  receive: ({ sent }) => {
    try {
      return String(tensor([1]).add(sent));
    } catch (error) {
      return `${error.name} ${error.code} ${error.message}`;
    }
  },
};

if (parentPort) parentPort.postMessage(tasks[workerData.task](workerData));
