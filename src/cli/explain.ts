import type { ExplainConfig } from "../config/index.ts";
import { explainImages } from "../evaluate/explain-images.ts";
import { setNumThreads } from "../tensor/index.ts";
import type { CommandCall, Outcome } from "./command.ts";
import { createCounter } from "./counter.ts";
import { ExplanationFiles } from "./explanation-files.ts";
import { planExplanation, type SkippedFile } from "./explanation-plan.ts";

type ExplainCall = Pick<CommandCall, "stdout" | "stderr" | "signal"> & { config: ExplainConfig };

/** Explains images, writes pictures, maps and a manifest, and says where they are. */
export async function runExplain({ config, stdout, stderr, signal }: ExplainCall): Promise<Outcome> {
  if (config.threads !== undefined) setNumThreads(config.threads);
  const skipped: SkippedFile[] = [];
  const plan = await planExplanation(config, skipped);
  const counter = createCounter(stderr, "explained", plan.count);
  try {
    const { subject, methods, layers, batches } = plan;
    stdout.write(
      `${subject.modelName} from ${subject.checkpoint}, layer ${layers.join(", ")}: ${methods.join(", ")}\n`,
    );
    const files = await ExplanationFiles.open(config, plan);
    for await (const record of explainImages(subject, batches, { ...plan, signal })) {
      await files.add(record);
      counter.step();
    }
    const written = await files.finish(skipped);
    counter.stop();
    for (const { error } of skipped) stderr.write(`warning: left out: ${error}\n`);
    for (const path of written) stdout.write(`${path}\n`);
    return "done";
  } finally {
    counter.stop();
    plan.subject.dispose();
  }
}
