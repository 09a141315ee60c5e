import { setImmediate } from "node:timers/promises";
import { batchIndices, classCounts } from "../../data/index.ts";
import { inEvaluation } from "../../nn/index.ts";
import { type Tensor, tensor, tidy, zeros } from "../../tensor/index.ts";
import { explainTrueClasses, firstOfEachClass } from "../../train/internal.ts";
import type { LoadedRun } from "../loaded-model.ts";
import type { RunSamples } from "./records.ts";

/** Test images per forward pass. */
const BATCH = 250;

/** The first test image of each class with its map, and the mean map of each class over the test split. */
export async function runSamples(subject: LoadedRun, signal?: AbortSignal): Promise<RunSamples> {
  const { model, prototypes } = subject;
  const { test } = subject.data;
  const [, channels, height, width] = test.images.sizes as [number, number, number, number];
  return inEvaluation(model, async () => {
    const meanMaps = await meanMapsOf(subject, signal);
    return tidy(() => {
      const indices = firstOfEachClass(test);
      const { logits, labels, maps } = explainTrueClasses(model, test, indices, subject);
      return {
        ...{ classNames: test.classNames, height, width, channels },
        labels: numbersOf(labels),
        predictions: numbersOf(logits.argmax(1)),
        images: test.images
          .indexSelect(0, tensor(indices))
          .unbind(0)
          .map((image) => base64(image.data() as Uint8Array)),
        maps: picturesOf(maps),
        meanMaps,
        prototypes: picturesOf(prototypes),
      };
    });
  });
}

/** A class without test images gets a map of zeros. */
async function meanMapsOf(subject: LoadedRun, signal: AbortSignal | undefined): Promise<string[]> {
  const { model } = subject;
  const { test } = subject.data;
  const sums = zeros([test.numClasses, ...test.images.sizes.slice(-2)], { dtype: "float64" });
  try {
    for (const indices of batchIndices(test.labels.numel, { batchSize: BATCH, shuffle: false })) {
      tidy(() => {
        const { labels, maps } = explainTrueClasses(model, test, indices, subject);
        sums.indexAdd_(0, labels, maps.to("float64"));
      });
      await setImmediate(); // gives pending signals a chance to be handled
      signal?.throwIfAborted();
    }
    const counts = classCounts(test.labels, test.numClasses).map((count) => Math.max(1, count));
    return tidy(() => picturesOf(sums.div(tensor(counts, { dtype: "float64" }).reshape([-1, 1, 1]))));
  } finally {
    sums.dispose();
  }
}

const numbersOf = (labels: Tensor): number[] => Array.from(labels.data() as BigInt64Array, Number);

/** Encodes pictures (N, H, W) in [0, 1] as bytes, one text per picture. */
function picturesOf(pictures: Tensor): string[] {
  return pictures.unbind(0).map((picture) => {
    const values = Array.from(picture.to("float32").data() as Float32Array);
    return base64(Uint8Array.from(values, (value) => Math.round(255 * Math.min(1, Math.max(0, value)))));
  });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
