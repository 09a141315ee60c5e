/** Converts sums over all recorded steps to the values of a report. */
export interface Scale {
  /** Milliseconds in one step. */
  milliseconds: (nanoseconds: number) => number;
  /** Share of the time of all steps, 0 to 1. */
  share: (nanoseconds: number) => number;
  perStep: (count: number) => number;
}

/** Makes the conversion for `steps` steps that took `total` nanoseconds together. */
export function scaleOf(steps: number, total: number): Scale {
  return {
    milliseconds: (nanoseconds) => nanoseconds / 1e6 / steps,
    share: (nanoseconds) => (total === 0 ? 0 : nanoseconds / total),
    perStep: (count) => count / steps,
  };
}
