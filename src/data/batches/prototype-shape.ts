import { arange, type Tensor, tensor, tidy, zeros } from "../../tensor/index.ts";
import { expectSplit, type Split } from "../splits/split.ts";
import { classCounts, placesOfAllClasses } from "./prototypes.ts";

/** Limit on the number of images that are measured. It gives two correct digits in at most a second. */
const MOST_IMAGES = 4096;
const BLOCK_BYTES = 2 ** 25;
/** Images whose contrast is below a thirtieth of a grey level of 255 count as uniform, because what remains is rounding error. */
const LEAST_VARIANCE = 1e-8;

/**
 * Measures how much shape the mean images of the classes contain. It uses grey images g (the mean over channels), each
 * with its own mean subtracted. With N images, n of class c, the mean image P_c of the class, the mean image G of all,
 * and Var the variance over the pixels of an image:
 *
 * - V is the mean of Var(g) over all images and V_c that over class c: the contrast of the images themselves;
 * - contrast = Σ_c n/N · A_c / V. A_c = (n Var(P_c) − V_c) / (n − 1) is an unbiased estimate of Var of the true mean
 *   image of the class, without the noise in a mean of n images. Classes with one image are left out;
 * - separation is the effect size omega squared of a one-way analysis of variance over all pixels: (B − (C − 1) M) / (T
 *   + M), with the sum of squares between classes B = Σ_c n Var(P_c) − N Var(G), the total T = N V − N Var(G), and the
 *   mean square within classes M = (T − B) / (N − C).
 *
 * Both are clipped to [0, 1]. Zero means that the mean images are as uniform, or as similar, as those of images in
 * which objects are at random positions. At most 4096 images, from all classes, are used. With a few dozen images,
 * noise changes the separation by some hundredths.
 *
 * Source: W. L. Hays, Statistics for Psychologists, 1963 (omega squared).
 */
export function prototypeShape(split: Split): PrototypeShape {
  expectSplit("prototypeShape", split);
  const labels = Array.from(split.labels.data() as BigInt64Array, Number);
  const places = placesOfAllClasses(labels, MOST_IMAGES);
  return tidy(() => {
    const { sums, contrasts } = accumulate(split, places);
    const counts = classCounts(
      tensor(
        BigInt64Array.from(places, (place) => BigInt(labels[place] as number)),
        { shape: [places.length] },
      ),
      split.numClasses,
    );
    return shapeOf({
      counts,
      contrasts,
      variances: variancesOf(sums, counts),
      total: variancesOf(sums.sum([0], { keepDims: true }), [places.length])[0] as number,
    });
  });
}

/** The sum of the grey images of each class, (C, HW), and the sum of their contrasts, by class. */
function accumulate(split: Split, places: Int32Array): { sums: Tensor; contrasts: Float64Array } {
  const { images, labels, numClasses } = split;
  const [, channels = 1, height = 1, width = 1] = images.sizes;
  const sums = zeros([numClasses, height * width]);
  const contrasts = new Float64Array(numClasses);
  const step = Math.max(1, Math.floor(BLOCK_BYTES / (4 * channels * height * width)));
  for (let start = 0; start < places.length; start += step)
    tidy(() => {
      const index = tensor(places.slice(start, start + step), { dtype: "int32" });
      const scaled = images.indexSelect(0, index).to("float32");
      const grey = (images.dtype === "uint8" ? scaled.div(255) : scaled).mean([1]).flatten(1); // (n, HW)
      const own = labels.indexSelect(0, index);
      const centred = grey.sub(grey.mean([1], { keepDims: true }));
      const member = arange(numClasses).to(labels.dtype).unsqueeze(1).eq(own).to("float32"); // (C, n)
      sums.add_(member.matmul(centred));
      const variances = centred.square().mean([1]).data() as Float32Array;
      for (const [i, label] of own.data().entries())
        contrasts[Number(label)] = (contrasts[Number(label)] as number) + (variances[i] as number);
    });
  return { sums, contrasts };
}

/** Variance over the pixels of each mean image. The images are centred, so it is the mean square. */
function variancesOf(sums: Tensor, counts: readonly number[]): number[] {
  const squares = sums.square().mean([1]).data() as Float32Array;
  return counts.map((count, i) => (count === 0 ? 0 : (squares[i] as number) / count ** 2));
}

interface Moments {
  counts: readonly number[];
  /** Sum of the images' contrasts, by class. */
  contrasts: Float64Array;
  /** Var(P_c), by class. */
  variances: readonly number[];
  /** Var(G) */
  total: number;
}

function shapeOf({ counts, contrasts, variances, total }: Moments): PrototypeShape {
  const images = counts.reduce((sum, n) => sum + n, 0);
  const classes = counts.filter((n) => n > 0).length;
  const own = contrasts.reduce((sum, value) => sum + value, 0); // N V
  let [kept, seen, between] = [0, 0, -images * total];
  for (const [c, n] of counts.entries()) {
    const [variance, contrast] = [variances[c] as number, contrasts[c] as number];
    between += n * variance;
    if (n < 2) continue;
    kept += (n * (n * variance - contrast / n)) / (n - 1);
    seen += contrast;
  }
  if (!(own > LEAST_VARIANCE * images)) return { contrast: 0, separation: 0, carries: "none" };
  const sumOfSquares = own - images * total;
  const within = images > classes ? (sumOfSquares - between) / (images - classes) : 0;
  const contrast = share(kept, seen);
  const separation = share(between - (classes - 1) * within, sumOfSquares + within);
  const carries = contrast < LEAST_CONTRAST ? "none" : separation < LEAST_SEPARATION ? "common" : "shape";
  return { contrast, separation, carries };
}

const share = (part: number, whole: number): number => (whole > 0 ? Math.min(1, Math.max(0, part / whole)) : 0);

/** How much shape the mean images of the classes contain. */
export interface PrototypeShape {
  /** Share of the images' contrast that remains in the mean images of their classes, in [0, 1]. */
  readonly contrast: number;
  /**
   * Share of the variance of the pixels that is between the mean images of the classes rather than within the classes,
   * in [0, 1].
   */
  readonly separation: number;
  /**
   * "none" if the mean images are nearly uniform; "common" if they have a shape, but nearly the same one in all
   * classes; "shape" otherwise.
   */
  readonly carries: "shape" | "common" | "none";
}

/**
 * Below these values the prototypes cannot guide. They were chosen from measurements (contrast, separation): MNIST
 * 0.45, 0.21; Fashion-MNIST 0.60, 0.39; drawn objects near the centre 0.50, 0.15; the same objects at random positions
 * on a uniform or noisy background at most 0.01, 0.01; the same under a bright sky 0.88, 0.03.
 */
const LEAST_CONTRAST = 0.1;
const LEAST_SEPARATION = 0.05;

/** A value with two decimals, or with as many as show on which side of the limit it is. */
function besideLimit(value: number, limit: number): string {
  const digits = [2, 3, 4, 5].find((count) => value === limit || Number(value.toFixed(count)) !== limit);
  return value.toFixed(digits ?? 6);
}

/** Describes the result in a few sentences, with a remedy if the prototypes contain no shape. */
export function describeShape({ contrast, separation, carries }: PrototypeShape): string {
  const numbers = `contrast ${besideLimit(contrast, LEAST_CONTRAST)}, separation ${besideLimit(separation, LEAST_SEPARATION)}`;
  if (carries === "shape") return `Prototypes carry shape (${numbers}).`;
  const remedy =
    "align or crop the images so that the object is always at the same position, or use --statistic cam-ema, whose prototypes are made of maps";
  return carries === "none"
    ? `Prototypes carry no shape (${numbers}; contrast below ${LEAST_CONTRAST}): the mean images are nearly uniform, and maps that are guided by them spread out. Compare with --prototypes constant; ${remedy}.`
    : `Prototypes carry one shape for all classes (${numbers}; separation below ${LEAST_SEPARATION}): they contain no information about the class. Compare with --prototypes global; ${remedy}.`;
}
