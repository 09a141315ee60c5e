import { type DType, type Tensor, tensor, tidy, where, zerosLike } from "../tensor/index.ts";
import { TensorCache } from "../tensor/internal.ts";

// The equations of linear imputation, on the pixels whose value is to be found:
//     (A x)_i = d_i x_i − Σ_j w_ij x_j,   d_i = Σ_j w_ij over the neighbours inside the image, known ones too.

/** The equations on one grid. What is (n, 1, H, W) is the same for all channels of an image. */
interface Grid {
  /** 1 where a value is to be found, else 0. */
  readonly unknown: Tensor;
  /** d */
  readonly diagonal: Tensor;
  /** 1 / d where a value is to be found, else 0. */
  readonly inverse: Tensor;
}

/** A grid of the preconditioner, and how it is reached: from it, linear interpolation, (H, ⌈H/2⌉) and (W, ⌈W/2⌉). */
interface Level extends Grid {
  readonly finer: readonly [Tensor, Tensor];
}

/** Residual, relative to that of the guess, at which an image is solved. */
const TOLERANCE = 1e-9;
/** About ten steps solve any mask that was tried, up to 224x224; this only bounds them. */
const MAX_STEPS = 500;
const COARSEST = 4;
/** Size from which the window's matrix, nearly all zeros, costs more than adding shifted copies. */
const BANDED = 64;

/**
 * Solves the equations of every image and channel at once: conjugate gradients, preconditioned by one multigrid cycle, so that
 * the number of steps hardly grows with the holes. Where all of an image is unknown the guess stays. The residual of each image and channel is
 * divided by a power of two first: the preconditioner is float32, and squares of small float64 values are zero too, which would make
 * the step 0 / 0.
 *
 * @param known (n, C, H, W), zero where a value is to be found
 * @param unknown (n, 1, H, W), 1 where a value is to be found, else 0
 * @param guess (n, C, H, W), zero where nothing is to be found; overwritten with the solution
 */
export function fillIn(known: Tensor, unknown: Tensor, guess: Tensor): Tensor {
  const fine = gridOf(unknown);
  const levels = levelsOf(unknown.to("float32"));
  const precondition = (r: Tensor) => cycle(levels, r.to("float32")).to("float64");
  const total = (x: Tensor) => x.sum([2, 3], { keepDims: true }); // (n, C, 1, 1)
  const right = neighbours(known).mul(unknown);
  const first = right.sub(apply(fine, guess));
  const scale = powerOfTwo(first);
  const residual = first.div(scale);
  const rounding = total(right.div(scale).square()).mul(1e-28);
  const enough = total(residual.square())
    .mul(TOLERANCE ** 2)
    .maximum(rounding);
  const correction = zerosLike(guess);
  const direction = precondition(residual);
  const energy = total(residual.mul(direction));
  for (let step = 0; step < MAX_STEPS; step++) {
    const solved = tidy(() => {
      const open = total(residual.square()).gt(enough); // never where there is NaN
      if (open.any().item() === 0) return true;
      const image = apply(fine, direction);
      const length = where(open, energy.div(total(direction.mul(image))), 0);
      correction.add_(direction.mul(length));
      residual.sub_(image.mul(length));
      const next = precondition(residual);
      const after = total(residual.mul(next));
      direction.mul_(where(open, after.div(energy), 0)).add_(next);
      energy.copy_(after);
      return false;
    });
    if (solved) break;
  }
  return guess.add_(correction.mul(scale));
}

/**
 * The power of two at or below the largest magnitude of each image and channel of float64, (n, C, 1, 1): quotients and products with it
 * are exact. 1 where all is zero or a value is not finite.
 */
export function powerOfTwo(x: Tensor): Tensor {
  const largest = x.abs().amax([2, 3], { keepDims: true });
  const powers = (largest.data() as Float64Array).map(powerBelow);
  return tensor(powers, { shape: largest.shape, dtype: "float64" });
}

const SMALLEST_NORMAL = 2 ** -1022;
const bits = new DataView(new ArrayBuffer(8));

/** A float64 number without its fraction's bits. */
function powerBelow(value: number): number {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) return 1;
  bits.setFloat64(0, value);
  bits.setUint32(0, bits.getUint32(0) & 0x7ff00000);
  bits.setUint32(4, 0);
  return Math.max(bits.getFloat64(0), SMALLEST_NORMAL);
}

/** Σ_j w_ij x_j over the eight neighbours, zero outside: the window [1 2 1]ᵀ[1 2 1] / 16, four times, less its centre. */
function neighbours(x: Tensor): Tensor {
  return smoothed(smoothed(x, 3), 2).sub(x).div(3);
}

/** The window [1 2 1] / 2 along a dimension, 2 or 3. */
function smoothed(x: Tensor, dim: 2 | 3): Tensor {
  const size = x.sizes[dim] as number;
  if (size < BANDED) return dim === 3 ? x.matmul(windowOf(size, x.dtype)) : windowOf(size, x.dtype).matmul(x);
  const [left, right] = [x.narrow(dim, 0, size - 1), x.narrow(dim, 1, size - 1)];
  const sum = x.mul(2);
  sum.narrow(dim, 1, size - 1).add_(left);
  sum.narrow(dim, 0, size - 1).add_(right);
  return sum.div_(2);
}

function apply(grid: Grid, x: Tensor): Tensor {
  return x.mul(grid.diagonal).sub(neighbours(x)).mul(grid.unknown);
}

/** `ties` are the weights to known pixels, which are the sums of A's rows. */
function gridOf(unknown: Tensor, ties = neighbours(unknown.neg().add(1)).mul(unknown)): Grid & { ties: Tensor } {
  const diagonal = neighbours(unknown).add(ties);
  return { unknown, diagonal, inverse: unknown.div(diagonal.add(diagonal.eq(0))), ties };
}

/** The same equations on grids of half the size each. A coarse value is to be found where any of its four pixels is. */
function levelsOf(unknown: Tensor): Level[] {
  const levels: Level[] = [];
  let grid = gridOf(unknown);
  for (;;) {
    const [height, width] = grid.unknown.sizes.slice(2) as [number, number];
    levels.push({ ...grid, finer: [interpolationTo(height), interpolationTo(width)] });
    if (Math.max(height, width) <= COARSEST) return levels;
    const [columns, rows] = [pairsOf(height), pairsOf(width)];
    const summed = (x: Tensor) => columns.matmul(x.matmul(rows.t()));
    grid = gridOf(summed(grid.unknown).gt(0).to("float32"), summed(grid.ties));
  }
}

/** One V-cycle for A e = r from e = 0, float32, symmetric as conjugate gradients ask for: a Jacobi sweep, the coarser grid, a sweep. */
function cycle(levels: readonly Level[], r: Tensor, level = 0): Tensor {
  const grid = levels[level] as Level;
  const e = r.mul(grid.inverse);
  const sweep = () => e.add_(r.sub(apply(grid, e)).mul(grid.inverse));
  if (level === levels.length - 1) {
    for (let i = 0; i < 8; i++) sweep();
    return e;
  }
  const [columns, rows] = grid.finer;
  const coarse = columns.t().matmul(r.sub(apply(grid, e)).matmul(rows));
  const correction = columns.matmul(cycle(levels, coarse, level + 1).matmul(rows.t()));
  e.add_(correction.mul(grid.unknown));
  return sweep();
}

/** The coarse cell of pixel i is (i + size mod 2) / 2: of an odd size, the first pixel has one to itself. */
const coarsePlace = (i: number, size: number) => (i + (size % 2)) / 2;

const windows = new TensorCache<Tensor>();

/** (size, size), of sizes below `BANDED` alone. */
function windowOf(size: number, dtype: DType): Tensor {
  return windows.get(`${size} ${dtype}`, () =>
    matrix(size, size, (i) => [
      [i - 1, 1 / 2],
      [i, 1],
      [i + 1, 1 / 2],
    ]).to(dtype),
  );
}

/** (⌈size/2⌉, size): the sum of each coarse cell's pixels. */
function pairsOf(size: number): Tensor {
  return matrix(size, Math.ceil(size / 2), (i) => [[Math.floor(coarsePlace(i, size)), 1]]).t();
}

/** (size, ⌈size/2⌉): a pixel's share of the two coarse cells whose centres are nearest. */
function interpolationTo(size: number): Tensor {
  const last = Math.ceil(size / 2) - 1;
  return matrix(size, last + 1, (i) => {
    const place = coarsePlace(i, size) - 1 / 4;
    const below = Math.floor(place);
    return [
      [Math.max(below, 0), below + 1 - place],
      [Math.min(below + 1, last), place - below],
    ];
  });
}

/** A matrix from the entries of its rows; those at one place add up, those outside are left out. */
function matrix(rows: number, columns: number, entriesOf: (row: number) => [number, number][]): Tensor {
  const values = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (const [column, value] of entriesOf(row)) {
      const at = row * columns + column;
      if (column >= 0 && column < columns) values[at] = (values[at] as number) + value;
    }
  }
  return tensor(values, { shape: [rows, columns], dtype: "float32" });
}
