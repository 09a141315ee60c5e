// Trains the same network without guidance, guided by the mean images of its classes, and guided by those of other classes.
//   node examples/guide-by-prototypes.ts [training images]
import type { TrainConfigInput } from "batch-cam/config";
import { train } from "batch-cam/train";

const limitTrain = Number(process.argv[2] ?? 6400);
const methods: Record<string, TrainConfigInput> = {
  plain: { plain: true },
  guided: { lambdaPrototype: 5, distance: "ssim" },
  "guided by wrong prototypes": { lambdaPrototype: 5, distance: "ssim", prototypes: "shuffled" },
};

for (const [name, method] of Object.entries(methods)) {
  const { test } = await train({
    ...{
      dataset: "mnist",
      limitTrain,
      valImages: limitTrain / 8,
      limitTest: limitTrain,
      epochs: 1,
      experiment: name.replaceAll(" ", "-"),
    },
    ...method,
  });
  if (test === null) throw new Error("the run was interrupted");
  const { accuracy, mapSsim, deadMaps } = test;
  console.log(
    `${name}: accuracy ${accuracy}, SSIM of maps and prototypes ${mapSsim.toFixed(2)}, dead maps ${deadMaps}`,
  );
}
