// Prints the class that a network predicts for an image, and draws the map that explains the prediction.
//   node examples/explain-one-image.ts photo.jpg resnet18.pth map.png
import { createModel, explain, loadPretrained, loadWeights, normalize, readImage, tensor, tidy } from "batch-cam";
import sharp from "sharp";

const [photo, weights, output] = process.argv.slice(2);
if (photo === undefined || weights === undefined || output === undefined)
  throw new Error("usage: node examples/explain-one-image.ts IMAGE WEIGHTS OUTPUT");

const { pixels, height, width } = await readImage(photo, { channels: 3, size: [224, 224] });
const { weights: state } = await loadWeights(weights);
const model = createModel("resnet18", { numClasses: state.get("fc.bias")?.numel ?? 1000 });
loadPretrained(model, state);
model.eval();

const { label, map } = tidy(() => {
  const images = normalize(
    tensor(pixels, { shape: [1, 3, height, width] })
      .to("float32")
      .div(255),
    {
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    },
  );
  const { maps, logits } = explain(model, images, { method: "LayerCAM" }); // of the predicted class, (1, H, W) in [0, 1]
  return { label: logits.argmax(1).item(), map: Uint8Array.from(maps.mul(255).flatten().data(), Number) };
});
await sharp(map, { raw: { width, height, channels: 1 } })
  .png()
  .toFile(output);
console.log(`class ${label}; ${output} shows where`);
