// Trains a guided classifier on a folder that contains a subfolder of images for each class.
//   node examples/train-on-a-folder.ts my-images [epochs]
import { train } from "batch-cam/train";

const [folder, epochs = "10"] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: node examples/train-on-a-folder.ts FOLDER [EPOCHS]");

const { runDirectory, test } = await train(
  { dataset: "folder", dataDir: folder, imageSize: 32, epochs: Number(epochs), augFlip: true, experiment: "my-images" },
  {
    onEvent(event) {
      if (event.type === "warning") console.warn(event.message);
      if (event.type === "epoch") console.log(`epoch ${event.epoch}: validation accuracy ${event.record.val.accuracy}`);
    },
  },
);
console.log(`test accuracy ${test?.accuracy}; the weights are in ${runDirectory}/checkpoints`);
