import type { ExplainConfig } from "../../config/index.ts";
import { problemList } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { setNumThreads } from "../../tensor/index.ts";
import { type ExplainedImageRecord, explainImages } from "../../workflows/internal.ts";
import type { CommandCall, Outcome } from "../command.ts";
import { inFlags } from "../flags.ts";
import { oneLine } from "../safe-output.ts";
import { createCounter } from "../train/progress.ts";
import { percent } from "../train/progress-lines.ts";
import { warnTo } from "../warn.ts";
import { ExplanationFiles } from "./files.ts";
import { planExplanation, type SkippedFile } from "./plan.ts";

type ExplainCall = Pick<CommandCall, "stdout" | "stderr" | "signal"> & { config: ExplainConfig };

/** The number of images whose prediction is printed. */
const SAID = 20;

/** "cat.jpg: tabby 93.1%" */
function verdictLine({ image, prediction, confidence }: ExplainedImageRecord, names: readonly string[]): string {
  const wrong = image.label !== null && image.label !== prediction ? `, is ${names[image.label]}` : "";
  return oneLine(`${image.name}: ${names[prediction]} ${percent(confidence)}${wrong}`);
}

/** Explains the images, writes pictures, maps and a manifest, and prints their paths. */
export async function runExplain({ config, stdout, stderr, signal }: ExplainCall): Promise<Outcome> {
  if (config.threads !== undefined) setNumThreads(config.threads);
  const skipped: SkippedFile[] = [];
  const plan = await planExplanation(config, {
    skipped,
    signal,
    say: (message) => void stdout.write(`${message}\n`),
    onWarning: warnTo(stderr),
  });
  let files: ExplanationFiles | undefined;
  const counter = createCounter(stderr, "explained", plan.count, { burst: config.batchSize });
  try {
    const { subject, methods, layers, batches } = plan;
    const place = layers.length === 0 ? "" : `, layer ${layers.join(", ")}`;
    stdout.write(`${subject.modelName} from ${subject.checkpoint}${place}: ${methods.join(", ")}\n`);
    for (const note of subject.notes) stdout.write(`${inFlags(note)}\n`);
    files = await ExplanationFiles.open(config, plan);
    let explained = 0;
    for await (const record of explainImages(subject, batches, { ...plan, signal })) {
      await files.add(record);
      if (explained++ < SAID) counter.above(() => stdout.write(`${verdictLine(record, plan.shownNames)}\n`));
      counter.step();
    }
    if (explained === 0) throw noneReadable(skipped);
    if (explained > SAID) stdout.write(`... and ${explained - SAID} more, in the manifest\n`);
    const written = await files.finish(skipped);
    counter.stop();
    for (const { error } of skipped) stderr.write(`warning: left out: ${error}\n`);
    for (const path of written) stdout.write(`${path}\n`);
    return "done";
  } catch (error) {
    throw asMistake(error, config);
  } finally {
    files?.close();
    counter.stop();
    plan.subject.dispose();
  }
}

function noneReadable(skipped: readonly SkippedFile[]): BatchCamError {
  const reasons =
    skipped.length === 1 ? (skipped[0] as SkippedFile).error : problemList(skipped.map((one) => one.problem));
  return new BatchCamError("E_DATA", `explain: none of the files can be read: ${reasons}`);
}

/**
 * Turns errors about an image size that the model cannot take, or about a layer without maps, into mistakes of the flags that chose them.
 */
function asMistake(error: unknown, { imageSize, layer }: ExplainConfig): unknown {
  if (!(error instanceof BatchCamError)) return error;
  const { code, message, options } = error;
  if (layer !== undefined && options.includes("reshapeTransform")) {
    // A program can pass a function that makes maps of such an output; the command line cannot, so that advice is removed.
    const plain = message.replace(/^explain: layer /, "explain: --layer ").replace(/, or give reshapeTransform.*$/, "");
    return new BatchCamError(code, plain, { cause: error });
  }
  if (code !== "E_SHAPE") return error;
  const flag = imageSize === undefined || options.includes("imageSize") ? "" : " (see --image-size)";
  return new BatchCamError("E_CONFIG", message + flag, { cause: error });
}
