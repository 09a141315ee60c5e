import { type DType, type Tensor, tensor, tidy, where, zerosLike } from "../tensor/index.ts";
import { TensorCache } from "../tensor/internal.ts";

// The equations of linear imputation, for the pixels whose value is unknown: (A x)_i = d_i x_i − Σ_j w_ij x_j, where
// d_i = Σ_j w_ij is over all neighbours inside the image, known and unknown.

/** The equations on one grid. Tensors of shape (n, 1, H, W) are shared by all channels of an image. */
interface Grid {
  /** 1 at unknown pixels, else 0. */
  readonly unknown: Tensor;
  /** The diagonal d of A. */
  readonly diagonal: Tensor;
  /** 1 / d at unknown pixels, else 0. */
  readonly inverse: Tensor;
}

/**
 * A grid of the multigrid preconditioner. `finer` are the matrices that interpolate linearly from the next coarser grid
 * to this one, (H, ⌈H/2⌉) and (W, ⌈W/2⌉).
 */
interface Level extends Grid {
  readonly finer: readonly [Tensor, Tensor];
}

/** An image counts as solved when its residual is this small relative to the residual of the guess. */
const TOLERANCE = 1e-9;
/** Upper bound on the number of steps. All masks that were tried, up to 224x224, needed about ten. */
const MAX_STEPS = 500;
const COARSEST = 4;
/** From this size on, adding shifted copies is cheaper than multiplying by the banded matrix, which is nearly all zeros. */
const BANDED = 64;

/**
 * Solves the equations of all images and channels at once by conjugate gradients. The preconditioner is one multigrid
 * cycle, so the number of steps hardly grows with the size of the holes. An image that is entirely unknown keeps the
 * guess. The residual of each image and channel is first divided by a power of two: the preconditioner is float32, and
 * squares of small float64 values underflow to zero, which would make the step length 0 / 0.
 *
 * @param known (n, C, H, W), zero at unknown pixels
 * @param unknown (n, 1, H, W), 1 at unknown pixels, else 0
 * @param guess (n, C, H, W), zero at known pixels; overwritten with the solution
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
      const open = total(residual.square()).gt(enough); // always false for NaN
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
 * For each image and channel of float64, (n, C, 1, 1), the largest power of two that does not exceed the largest
 * magnitude. Dividing and multiplying by it is exact. It is 1 if all values are zero or one is not finite.
 */
export function powerOfTwo(x: Tensor): Tensor {
  const largest = x.abs().amax([2, 3], { keepDims: true });
  const powers = (largest.data() as Float64Array).map(powerBelow);
  return tensor(powers, { shape: largest.shape, dtype: "float64" });
}

const SMALLEST_NORMAL = 2 ** -1022;
const bits = new DataView(new ArrayBuffer(8));

/** Clears the fraction bits of a float64, which leaves the power of two. */
function powerBelow(value: number): number {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) return 1;
  bits.setFloat64(0, value);
  bits.setUint32(0, bits.getUint32(0) & 0x7ff00000);
  bits.setUint32(4, 0);
  return Math.max(bits.getFloat64(0), SMALLEST_NORMAL);
}

/**
 * Σ_j w_ij x_j over the eight neighbours, with zeros outside the image. It is computed from the separable window [1 2
 * 1]ᵀ[1 2 1] / 4: subtract the centre, and divide by 3.
 */
function neighbours(x: Tensor): Tensor {
  return smoothed(smoothed(x, 3), 2).sub(x).div(3);
}

/** Convolution with [1 2 1] / 2 along dimension 2 or 3. */
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

/** Makes the equations of a grid. `ties` are the sums of the weights to known pixels, which equal the row sums of A. */
function gridOf(unknown: Tensor, ties = neighbours(unknown.neg().add(1)).mul(unknown)): Grid & { ties: Tensor } {
  const diagonal = neighbours(unknown).add(ties);
  return { unknown, diagonal, inverse: unknown.div(diagonal.add(diagonal.eq(0))), ties };
}

/**
 * Makes the equations on successively coarser grids, each of half the size. A coarse value is unknown if any of its
 * four pixels is unknown.
 */
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

/**
 * One V-cycle for A e = r, starting from e = 0, in float32: a Jacobi sweep, a correction from the coarser grid, and a
 * second sweep. It is symmetric, as conjugate gradients require.
 */
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

/**
 * The index of pixel i in coarse cells, (i + size mod 2) / 2. If the size is odd, the first pixel has a coarse cell of
 * its own.
 */
const coarsePlace = (i: number, size: number) => (i + (size % 2)) / 2;

const windows = new TensorCache<Tensor>();

/** The matrix (size, size) of the window [1 2 1] / 2, cached. It is used only for sizes below `BANDED`. */
function windowOf(size: number, dtype: DType): Tensor {
  return windows.get(`${size} ${dtype}`, () =>
    matrix(size, size, (i) => [
      [i - 1, 1 / 2],
      [i, 1],
      [i + 1, 1 / 2],
    ]).to(dtype),
  );
}

/** The matrix (⌈size/2⌉, size) that sums the pixels of each coarse cell. */
function pairsOf(size: number): Tensor {
  return matrix(size, Math.ceil(size / 2), (i) => [[Math.floor(coarsePlace(i, size)), 1]]).t();
}

/** The matrix (size, ⌈size/2⌉) of linear interpolation from the two nearest coarse cells to each pixel. */
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

/**
 * Makes a matrix from the entries of its rows. Entries with the same column are added, and entries outside the matrix
 * are dropped.
 */
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
