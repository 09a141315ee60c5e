import type { Session } from "./session-state.ts";
import type { SplitEvaluationOptions } from "./validation.ts";

/** How a session judges its model. */
export const validationOptions = (
  { guidance, references, amp, channelsLast }: Session,
  signal?: AbortSignal,
): SplitEvaluationOptions => ({
  camLayer: guidance.camLayer,
  prototypes: references,
  amp,
  channelsLast,
  signal,
});
