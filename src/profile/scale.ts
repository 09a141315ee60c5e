/** How the figures of a report are computed from sums of nanoseconds, and of calls, over all recorded steps. */
export interface Scale {
  /** Of one step. */
  milliseconds: (nanoseconds: number) => number;
  /** Share of the steps' time, 0 to 1. */
  share: (nanoseconds: number) => number;
  perStep: (count: number) => number;
}

/** The scale of `steps` steps that took `total` nanoseconds together. */
export function scaleOf(steps: number, total: number): Scale {
  return {
    milliseconds: (nanoseconds) => nanoseconds / 1e6 / steps,
    share: (nanoseconds) => (total === 0 ? 0 : nanoseconds / total),
    perStep: (count) => count / steps,
  };
}
