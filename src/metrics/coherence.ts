import { BatchCamError } from "../errors.ts";
import { keep, type Tensor, tidy, zeros } from "../tensor/index.ts";
import { expectClassCount, expectShapes, readLabels } from "../tensor/internal.ts";

export interface CoherenceSummary {
  /** Mean of `perClass` over the classes with at least two maps; NaN if no class has two maps. */
  mean: number;
  /** Coherence of each class; NaN for a class with fewer than two maps. */
  perClass: number[];
  /** Number of maps of each class. */
  counts: number[];
}

/**
 * Coherence: the mean cosine similarity of the maps of a class, accumulated batch by batch.
 *
 *     coherence_c = mean over pairs i ≠ j of class c of cos(M_i, M_j) = (‖Σ v‖² − Σ ‖v‖²) / (n (n − 1)),  v = M / ‖M‖₂
 *
 * The right-hand side avoids the pairs, so the cost is one pass over the maps and one sum per class. A dead (all-zero)
 * map has v = 0, so its similarity to every map is 0. The range is [−1, 1], or [0, 1] for maps without negative values.
 * Sums are float64. A map with NaN makes its class and the mean NaN.
 */
export class Coherence {
  readonly numClasses: number;
  #sums: Tensor | undefined; // (C, H·W): Σ v
  #squares: Float64Array;
  #counts: number[];
  #size: readonly number[] = [];

  constructor(numClasses: number) {
    expectClassCount("Coherence", numClasses);
    this.numClasses = numClasses;
    this.#squares = new Float64Array(numClasses);
    this.#counts = new Array(numClasses).fill(0);
  }

  /**
   * Adds a batch of maps.
   * @param maps (N, H, W), with the same H and W in every call
   * @param labels (N), class indices
   */
  update(maps: Tensor, labels: Tensor | readonly number[]): void {
    const { N, H, W } = expectShapes("Coherence.update", { maps: [maps, "N H W"] }) as Record<"N" | "H" | "W", number>;
    this.#expectSize([H, W]);
    tidy(() => {
      const classes = readLabels("Coherence.update", labels, { count: N, numClasses: this.numClasses });
      this.#size = [H, W];
      this.#sums ??= keep(zeros([this.numClasses, H * W], { dtype: "float64" }));
      const flat = maps.detach().to("float64").flatten(1);
      const norms = flat.norm([1], { keepDims: true });
      const unit = flat.div(norms.add(norms.eq(0))); // (N, H·W)
      this.#sums.indexAdd_(0, classes.tensor, unit);
      const squares = unit.square().sum([1]).data() as Float64Array;
      for (const [sample, label] of classes.values.entries()) {
        this.#squares[label] = (this.#squares[label] as number) + (squares[sample] as number);
        this.#counts[label] = (this.#counts[label] as number) + 1;
      }
    });
  }

  summary(): CoherenceSummary {
    const sums = this.#sums;
    const lengths = tidy(
      () => (sums === undefined ? new Float64Array(this.numClasses) : sums.square().sum([1]).data()) as Float64Array,
    );
    const perClass = this.#counts.map((n, label) =>
      n < 2 ? Number.NaN : ((lengths[label] as number) - (this.#squares[label] as number)) / (n * (n - 1)),
    );
    const counted = perClass.filter((_, label) => (this.#counts[label] as number) >= 2);
    const mean = counted.reduce((sum, value) => sum + value, 0) / counted.length; // 0 / 0 is NaN
    return { mean, perClass, counts: [...this.#counts] };
  }

  /** Discards all maps and frees the sums. */
  reset(): void {
    this.#sums?.dispose();
    this.#sums = undefined;
    this.#squares.fill(0);
    this.#counts.fill(0);
  }

  [Symbol.dispose](): void {
    this.reset();
  }

  #expectSize(size: readonly [number, number]): void {
    const [height, width] = this.#sums === undefined ? size : this.#size;
    if (size[0] === 0 || size[1] === 0)
      throw new BatchCamError("E_SHAPE", `Coherence.update: maps have no pixels, got ${size.join("x")}`);
    if (height === size[0] && width === size[1]) return;
    throw new BatchCamError(
      "E_SHAPE",
      `Coherence.update: maps must be ${height}x${width} as before, got ${size.join("x")}`,
    );
  }
}

/**
 * Coherence of one batch of maps: the `mean` of `Coherence`, which has the definition.
 *
 * @param maps (N, H, W)
 * @param labels (N), class indices
 */
export function coherence(maps: Tensor, labels: Tensor | readonly number[], numClasses: number): number {
  using gathered = new Coherence(numClasses);
  gathered.update(maps, labels);
  return gathered.summary().mean;
}
