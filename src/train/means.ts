import type { StepMetrics } from "./events.ts";

type Values = StepMetrics & { accuracy: number };

/** Means over an epoch's steps, weighted by their images; its state continues it exactly after a resume. */
export class EpochMeans {
  #images = 0;
  #sums: Record<string, number | null> = {};

  add(values: Values, images: number): void {
    this.#images += images;
    for (const [key, value] of Object.entries(values)) {
      const sum = this.#sums[key];
      this.#sums[key] = value === null ? null : (sum ?? 0) + value * images;
    }
  }

  means(): Values {
    const entries = Object.entries(this.#sums).map(([key, sum]) => [key, sum === null ? null : sum / this.#images]);
    return Object.fromEntries(entries) as unknown as Values;
  }

  state(): EpochMeansState {
    return { images: this.#images, sums: { ...this.#sums } };
  }

  static from({ images, sums }: EpochMeansState): EpochMeans {
    const means = new EpochMeans();
    means.#images = images;
    means.#sums = { ...sums };
    return means;
  }
}

export interface EpochMeansState {
  images: number;
  sums: Record<string, number | null>;
}
