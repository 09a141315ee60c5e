import { explain } from "../../dist/cam/index.js";
import { loadExportedModel } from "../../dist/models/index.js";
import { backward, grad, randn, tidy } from "../../dist/tensor.js";

/** The side of images for a program that takes any. */
const SIDE = 32;

/**
 * Loads a program, runs it forward and backward in evaluation and training mode, differentiates it twice, and explains two images.
 *
 * @param {string} path
 */
export async function runProgramOnce(path) {
  const model = await loadExportedModel(path);
  try {
    const [channels, height, width] = model.imageSize;
    tidy(() => {
      const images = randn([model.fixedBatch ?? 2, channels ?? 3, height ?? SIDE, width ?? SIDE], {
        requiresGrad: true,
      });
      for (const training of [false, true]) {
        model.train(training);
        backward(model.forward(images).square().mean());
      }
      if (model.camLayers.length > 0) explain(model, images.detach(), { method: "GradCAM" });
      const [gradient] = grad(model.forward(images).square().mean(), [images], {
        createGraph: true,
        allowUnused: true,
      });
      if (gradient?.requiresGrad) backward(gradient.square().sum());
    });
  } finally {
    model.dispose();
  }
}
