import { existsSync } from "node:fs";
import { contentDigest } from "../../data/internal.ts";
import { BatchCamError } from "../../errors.ts";
import { loadSafetensors } from "../../io/index.ts";
import { bestCheckpoint, disposeAll, epochOf } from "../run/checkpoint.ts";
import type { Rejudged, SplitRecord } from "../run/events.ts";
import type { SessionData } from "../run/session-data.ts";
import type { Session } from "../run/session-state.ts";
import { lastValidated } from "./best-epoch.ts";
import { evaluateSplit, validationOptions } from "./validation.ts";

/**
 * Validates the best epoch so far again if the validation images have changed since, so that later epochs are compared with it on the
 * same images. If its weights no longer exist, the best epoch is chosen among the later ones. Leaves the best epoch's weights in the
 * model, and the result in `session.progress`. Returns null if there is nothing to validate again, for example because the images are the
 * same as before.
 */
export async function rejudge(session: Session, data: SessionData, signal?: AbortSignal): Promise<Rejudged | null> {
  const { progress, run } = session;
  const { history, bestEpoch, validation: before } = progress;
  progress.validation = contentDigest(session.trained.data.val);
  if (history.length === 0) return null;
  const otherImages = before === undefined ? mayBeOthers(session, data) : before !== progress.validation;
  const best = bestCheckpoint(run.directory);
  if (!otherImages && (bestEpoch === 0 || existsSync(best))) return null;
  const judged = bestEpoch === 0 ? null : await validateBestAgain(session, best, signal);
  const val = judged !== null && "val" in judged ? judged.val : null;
  const rejudged: Rejudged = { step: progress.step, epoch: bestEpoch, after: lastValidated(history), otherImages, val };
  progress.rejudged = rejudged;
  if (val === null) progress.bestEpoch = 0;
  const earlier = history.find(({ epoch }) => epoch === bestEpoch)?.val ?? null;
  if (bestEpoch > 0)
    session.reporting.emit({
      type: "warning",
      message: sentence(rejudged, { earlier, problem: judged?.problem ?? "" }),
    });
  return rejudged;
}

/** If a checkpoint does not record its validation images, the run's record of its data is compared instead. */
function mayBeOthers({ config }: Session, { before, differences, record }: SessionData): boolean {
  if (before === null) return config.acceptNewData;
  return differences.length > 0 && before.record.splits.val?.digest !== record.splits.val?.digest;
}

type Judgement = { val: SplitRecord; problem?: undefined } | { problem: string };

/** The best epoch's result on the current validation images, or the reason why there is none. */
async function validateBestAgain(session: Session, path: string, signal: AbortSignal | undefined): Promise<Judgement> {
  const { progress } = session;
  const { model, data } = session.trained;
  if (!existsSync(path)) return { problem: `${path} does not exist` };
  const epoch = await epochOf(path);
  if (epoch !== null && epoch !== progress.bestEpoch) return { problem: `${path} contains those of epoch ${epoch}` };
  try {
    const weights = await loadSafetensors(path);
    try {
      model.loadStateDict(weights);
    } finally {
      disposeAll(weights);
    }
  } catch (error) {
    if (error instanceof BatchCamError) return { problem: error.message };
    throw error;
  }
  return { val: await evaluateSplit(model, data.val, validationOptions(session.trained, signal)) };
}

const share = (value: number): string => `${(100 * value).toFixed(2)} %`;

function sentence(
  { epoch, otherImages, val }: Rejudged,
  { earlier, problem }: { earlier: SplitRecord | null; problem: string },
): string {
  const others = otherImages ? "the validation images have changed: " : "";
  if (val === null)
    return `${others}the weights of epoch ${epoch}, the best so far, cannot be validated again (${problem}): the best epoch is chosen among the later ones`;
  const before = earlier === null ? "" : `, on the earlier ones ${share(earlier.accuracy)}`;
  return `${others}epoch ${epoch}, the best so far, was validated again on them (accuracy ${share(val.accuracy)}${before}), and later epochs are compared with that`;
}
