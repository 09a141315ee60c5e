import { describeValue, expectFunction, expectNumber, objectOf, optionsOf } from "../../arguments.ts";
import { BatchCamError } from "../../errors.ts";
import { arange, cat, stack, type Tensor, tensor, tidy, zeros } from "../../tensor/index.ts";
import { expectClassCount, expectShapes, expectTensor, readLabels } from "../../tensor/internal.ts";
import { classList } from "../sources/class-names.ts";
import { expectSplit, type Split } from "../splits/split.ts";

export type PrototypeStatistic = "mean" | "median" | "trimmed";

export interface PrototypeOptions {
  statistic?: PrototypeStatistic;
  /** Share of the values that "trimmed" discards at each end, for every pixel, in [0, 0.5). */
  trim?: number;
  /**
   * Called with a warning about classes without images, whose prototypes are zeros. Without it, the process emits the
   * warning.
   */
  onWarning?: (message: string) => void;
}

/** Number of elements that are converted to floats at once. It keeps the memory near 32 MB for any data set. */
const BLOCK_ELEMENTS = 2 ** 22;
/** A float32 holds every integer up to this one. */
const EXACT_FLOAT32 = 2 ** 24;

/**
 * Computes the prototypes P_c, (C, H, W), float32 in [0, 1]: the mean (or median, or trimmed mean) training image of
 * each class, for every pixel, averaged over the channels. Given a data set, it uses the training split.
 */
export async function prototypes(
  source: { readonly train: Split } | Split,
  options: PrototypeOptions = {},
): Promise<Tensor> {
  objectOf("prototypes: source", source);
  const split = "train" in source ? source.train : source;
  const {
    statistic = "mean",
    trim = 0.1,
    onWarning = (message: string) => process.emitWarning(message),
  } = optionsOf("prototypes", options, ["statistic", "trim", "onWarning"]);
  expectSplit("prototypes", split);
  expectFunction("prototypes: onWarning", onWarning);
  expectStatistic(statistic, trim);
  const counts = classCounts(split.labels, split.numClasses);
  const absent = counts.flatMap((count, label) => (count === 0 ? [split.classNames?.[label] ?? String(label)] : []));
  if (absent.length > 0)
    onWarning(`prototypes: no ${split.name} image of ${classList(absent)}; the prototype is all zeros`);
  expectFinite(split.images);
  return tidy(() => {
    const perChannel =
      statistic === "mean"
        ? classMeanImages(split.images, split.labels, split.numClasses)
        : classTrimmedImages(split, statistic === "median" ? 0.5 : trim);
    return perChannel.mean([1]); // (C,H,W)
  });
}

/**
 * Mean image of each class, (C, ch, H, W), float32: Σ_{y=c} x / #{y=c}; zeros for a class without images. uint8 images
 * are scaled from 0 to 255 to [0, 1]; others are used unscaled. Sums are float64, which is exact for uint8. The sums of a
 * block of uint8 images are float32, which is faster: a block has so few images that its sums are exact too.
 */
export function classMeanImages(images: Tensor, labels: Tensor, numClasses: number): Tensor {
  expectShapes("classMeanImages", { images: [images, "N C H W"], labels: [labels, "N"] });
  const counts = classCounts(labels, numClasses);
  const [count = 0, channels = 0, height = 0, width = 0] = images.shape;
  return tidy(() => {
    const pixels = channels * height * width;
    const flat = images.reshape([count, pixels]);
    const sums = zeros([numClasses, pixels], { dtype: "float64" });
    const most = Math.max(1, Math.floor(BLOCK_ELEMENTS / Math.max(1, pixels)));
    const bytes = images.dtype === "uint8";
    const step = bytes ? Math.min(most, Math.floor(EXACT_FLOAT32 / 255)) : most;
    const precision = bytes ? "float32" : "float64";
    for (let start = 0; start < count; start += step) {
      tidy(() => {
        const size = Math.min(step, count - start);
        const classes = arange(numClasses).to(labels.dtype).unsqueeze(1); // (C,1)
        const member = classes.eq(labels.narrow(0, start, size)).to(precision); // (C,n)
        sums.add_(member.matmul(flat.narrow(0, start, size).to(precision)));
      });
    }
    const divisors = tensor(
      counts.map((n) => Math.max(1, n) * unit(images)),
      { dtype: "float64" },
    ).unsqueeze(1);
    return sums.div_(divisors).to("float32").reshape([numClasses, channels, height, width]);
  });
}

/**
 * Number of images of each class.
 * @throws E_DTYPE or E_ARGUMENT for labels that are not integers from 0 to numClasses − 1
 */
export function classCounts(labels: Tensor, numClasses: number): number[] {
  expectClassCount("classCounts", numClasses);
  expectTensor(labels, "classCounts: labels");
  const counts = new Array<number>(numClasses).fill(0);
  const values = tidy(() => readLabels("classCounts", labels, { count: labels.numel, numClasses }).values);
  for (const label of values) (counts[label] as number)++;
  return counts;
}

/**
 * Trimmed mean of each pixel over its class, (C, ch, H, W). A trim of 0.5 gives the median; for an even number of
 * images this is the mean of the two middle values.
 */
function classTrimmedImages(split: Split, trim: number): Tensor {
  expectShapes("prototypes", { images: [split.images, "N C H W"], labels: [split.labels, "N"] });
  const shape = split.images.shape.slice(1);
  const members = classMembers(split);
  return stack(members.map((own) => (own.length === 0 ? zeros(shape) : trimmedMean(split.images, own, trim))));
}

function trimmedMean(images: Tensor, members: Int32Array, trim: number): Tensor {
  return tidy(() => {
    const [count = 0, ...shape] = images.shape;
    const pixels = shape.reduce((product, size) => product * size, 1);
    const flat = images.reshape([count, pixels]);
    const cut = Math.min(Math.floor(trim * members.length), Math.floor((members.length - 1) / 2));
    const width = Math.max(1, Math.floor(BLOCK_ELEMENTS / members.length));
    const index = tensor(members, { dtype: "int32" });
    const blocks: Tensor[] = [];
    for (let start = 0; start < pixels; start += width) {
      blocks.push(
        tidy(() => {
          const own = flat.narrow(1, start, Math.min(width, pixels - start)).indexSelect(0, index); // (n,width)
          const kept = own.sort(0).values.narrow(0, cut, members.length - 2 * cut);
          return kept.to("float64").mean([0]);
        }),
      );
    }
    return cat(blocks).div(unit(images)).to("float32").reshape(shape);
  });
}

function classMembers({ labels, numClasses }: Split): Int32Array[] {
  const members = Array.from({ length: numClasses }, (): number[] => []);
  for (const [i, label] of labels.data().entries()) members[Number(label)]?.push(i);
  return members.map((own) => Int32Array.from(own));
}

function unit(images: Tensor): number {
  return images.dtype === "uint8" ? 255 : 1;
}

function expectStatistic(statistic: string, trim: number): void {
  if (!["mean", "median", "trimmed"].includes(statistic)) {
    const names = '"mean", "median" or "trimmed"';
    throw new BatchCamError("E_ARGUMENT", `prototypes: statistic must be ${names}, got ${describeValue(statistic)}`);
  }
  expectNumber("prototypes: trim", trim, "be a share in [0, 0.5)", (n) => n >= 0 && n < 0.5);
}

/** Refuses NaN and infinity. This check is necessary because a median or a trimmed mean would hide a few such values. */
function expectFinite(images: Tensor): void {
  if (images.dtype === "uint8" || images.numel === 0) return;
  const extremes = tidy(() => [images.amin().item(), images.amax().item()]);
  if (extremes.every(Number.isFinite)) return;
  throw new BatchCamError("E_NUMERIC", "prototypes: images must be finite, got NaN or infinity; check the data");
}

/** The positions of the labels of each class, in ascending order of the class. Classes without labels are left out. */
export function membersOf(labels: readonly number[]): number[][] {
  const members = new Map<number, number[]>();
  for (const [i, label] of labels.entries()) {
    const own = members.get(label);
    if (own) own.push(i);
    else members.set(label, [i]);
  }
  return [...members.keys()].sort((a, b) => a - b).map((label) => members.get(label) as number[]);
}

/**
 * Chooses the positions of `count` images, in ascending order. They are the first images if these include as many
 * classes as possible. Otherwise they are taken from all classes in turn, starting with the first image of each class.
 * This matters because the images of a folder are sorted by class, so the first ones would all be of one class.
 */
export function placesOfAllClasses(labels: readonly number[], count: number): Int32Array {
  const classes = membersOf(labels);
  const first = Int32Array.from({ length: Math.min(count, labels.length) }, (_, place) => place);
  const seen = new Set(labels.slice(0, first.length)).size;
  if (seen >= Math.min(first.length, classes.length)) return first;
  const longest = Math.max(...classes.map((own) => own.length));
  const byTurns = Array.from({ length: longest }, (_, turn) => classes.flatMap((own) => own[turn] ?? [])).flat();
  return Int32Array.from(byTurns.slice(0, count)).sort();
}
