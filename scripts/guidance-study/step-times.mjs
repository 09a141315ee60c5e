// The processor time of plain and guided steps of the networks of the study, as the trainer takes them. Steps of all kinds alternate on one
// batch and one thread, so that a slow moment of the machine affects all of them.
import { parseTrainConfig } from "../../dist/config/index.js";
import { createModel, defaultCamLayer, optim } from "../../dist/index.js";
import { optionsForImages } from "../../dist/models/internal.js";
import { backward, manualSeed, rand, randn, setNumThreads, tensor, tidy } from "../../dist/tensor.js";
import { objective } from "../../dist/train.js";

/** @import { TrainConfigInput } from "batch-cam/config" */
/** @import { StepTime } from "./types.d.ts" */

/** The batch size of each network: the command line's default, except for the full ResNet-18, which takes long. */
const NETWORKS = { "simple-cnn": 128, resnet18: 64, convnextv2_atto: 128 };

/** @type {Record<string, TrainConfigInput>} */
const KINDS = {
  plain: { plain: true },
  "Prototype Loss, SSIM": {},
  "Prototype Loss, L1": { distance: "l1" },
  "both losses, SSIM": { lambdaBatch: 0.5 },
  "Prototype Loss, SSIM, first order": { order: "first" },
  "Prototype Loss, SSIM, a quarter of the batch": { guideShare: 0.25 },
};

/** @param {number} rounds @returns {StepTime[]} */
export function stepTimes(rounds) {
  setNumThreads(1);
  const precisions = /** @type {const} */ (["float32", "bfloat16"]);
  return Object.entries(NETWORKS).flatMap(([model, batchSize]) =>
    precisions.flatMap((precision) => timesOf({ model, batchSize, precision }, rounds)),
  );
}

/** @param {Pick<StepTime, "model" | "batchSize" | "precision">} about @param {number} rounds @returns {StepTime[]} */
function timesOf(about, rounds) {
  const steps = Object.entries(KINDS).map(([kind, options]) => ({
    kind,
    take: stepOf(about, options),
    times: [0].slice(1),
  }));
  for (const { take } of [...steps, ...steps]) take();
  for (let round = 0; round < rounds; round++)
    for (const { take, times } of steps) {
      const before = process.cpuUsage();
      take();
      const { user, system } = process.cpuUsage(before);
      times.push((user + system) / 1000);
    }
  const plain = steps[0]?.times ?? [];
  return steps.map(({ kind, times }) => ({
    ...about,
    kind,
    milliseconds: round(Math.min(...times), 1),
    overPlain: round(Math.min(...times) / Math.min(...plain), 3),
  }));
}

/** @param {Pick<StepTime, "model" | "batchSize" | "precision">} about @param {TrainConfigInput} options */
function stepOf({ model: name, batchSize, precision }, options) {
  manualSeed(0);
  const model = createModel(name, { numClasses: 10, inChannels: 1, ...optionsForImages(name, 28, { given: {} }) });
  const optimizer = new optim.Adam(model.namedParameters());
  const [amp, labels] = [precision === "bfloat16", Int32Array.from({ length: batchSize }, (_, i) => i % 10)];
  const images = amp ? randn([batchSize, 28, 28, 1]).permute([0, 3, 1, 2]) : randn([batchSize, 1, 28, 28]);
  const config = parseTrainConfig(/** @type {TrainConfigInput} */ ({ model: name, lambdaWarmup: 0, ...options }));
  const camLayer = defaultCamLayer(model, [1, 28, 28]);
  const [guidance, y] = [
    { config, camLayer, prototypes: rand([10, 28, 28]), camEma: null },
    tensor(labels, { dtype: "int64" }),
  ];
  return () =>
    tidy(() => {
      const { loss } = objective(model, images, y, { step: 0, guidance, amp });
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss.item();
    });
}

/** @param {number} value @param {number} digits */
const round = (value, digits) => Number(value.toFixed(digits));
