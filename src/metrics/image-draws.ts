import { createHash } from "node:crypto";
import { expectInteger } from "../arguments.ts";
import { cat, rand, type Tensor, tidy } from "../tensor/index.ts";
import { OwnGenerator } from "../tensor/internal.ts";

/**
 * Random numbers that depend only on a seed, a purpose and the values of an image (rounded to float32). A metric that
 * uses them gives an image the same value alone and in any batch, at any position. Different images get independent
 * draws, whose errors average out over a data set. Two images with the same values get the same draws.
 */
export class ImageDraws {
  readonly #operation: string;
  readonly #seeds: readonly number[];
  #row = -1;
  #generator: OwnGenerator | undefined;

  /** @param images (N, ...) */
  constructor(operation: string, purpose: string, { seed, images }: { seed: number; images: Tensor }) {
    expectInteger(`${operation}: seed`, seed, 0);
    this.#operation = operation;
    this.#seeds = Array.from({ length: images.sizes[0] as number }, (_, row) =>
      seedOf(`${purpose} ${seed}`, images, row),
    );
  }

  /**
   * Uniform values in [0, 1), (n, ...shape), the i-th for image `rows[i]`. The draws of an image continue from one call
   * to the next, provided that its rows are consecutive.
   */
  uniform(rows: readonly number[], shape: readonly number[], dtype: "float32" | "float64" = "float32"): Tensor {
    return tidy(() =>
      cat(runsOf(rows).map(([row, count]) => this.#draw(row, () => rand([count, ...shape], { dtype })))),
    );
  }

  /**
   * Standard normal values, float64, by the Box-Muller transform. Unlike `randn` it gives the same values in one call
   * and row by row.
   */
  normal(rows: readonly number[], shape: readonly number[]): Tensor {
    return tidy(() => {
      const [radius, angle] = this.uniform(rows, [2, ...shape], "float64").unbind(1) as [Tensor, Tensor];
      const length = radius.neg().add(1).log().mul(-2).sqrt(); // 1 − u is in (0, 1]
      return length.mul(angle.mul(2 * Math.PI).cos());
    });
  }

  #draw(row: number, fn: () => Tensor): Tensor {
    if (row !== this.#row) {
      this[Symbol.dispose]();
      this.#generator = new OwnGenerator(this.#operation, this.#seeds[row] as number);
      this.#row = row;
    }
    return (this.#generator as OwnGenerator).draw(fn);
  }

  [Symbol.dispose](): void {
    this.#generator?.[Symbol.dispose]();
    this.#generator = undefined;
    this.#row = -1;
  }
}

function seedOf(salt: string, images: Tensor, row: number): number {
  const own = () => images.detach().narrow(0, row, 1).to("float32").add(0); // −0 becomes 0
  const values = tidy(() => own().data() as Float32Array);
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return createHash("sha256").update(`${salt}\n`).update(bytes).digest().readUInt32LE(0);
}

/** Run-length encoding of the rows. */
function runsOf(rows: readonly number[]): [row: number, count: number][] {
  const runs: [number, number][] = [];
  for (const row of rows) {
    const last = runs.at(-1);
    if (last?.[0] === row) last[1]++;
    else runs.push([row, 1]);
  }
  return runs;
}

/** Converts an int64 tensor (n) to numbers. */
export function indicesOf(indices: Tensor): number[] {
  return Array.from(indices.data() as BigInt64Array, Number);
}

/**
 * Random keys (N, P), float64, by which ties between equal values of N maps of P pixels are broken. They depend only on
 * the seed and the images.
 */
export function tieKeys(operation: string, maps: Tensor, of: { seed: number; images: Tensor }): Tensor {
  const [count, ...size] = maps.sizes as [number, ...number[]];
  using draws = new ImageDraws(operation, "ties", of);
  const rows = Array.from({ length: count }, (_, row) => row);
  return draws.uniform(rows, [size.reduce((product, side) => product * side, 1)], "float64");
}
