// Apart from the measure, so that what prints it does not load the engine.

/** How much shape the mean images of the classes carry. */
export interface PrototypeShape {
  /** Share of the images' own contrast that is left in the mean images of their classes, in [0, 1]. */
  readonly contrast: number;
  /** Share of the variance of pixels that is between the classes' mean images and not within the classes, in [0, 1]. */
  readonly separation: number;
  /** "none": the mean images are nearly even; "common": they have a shape, and nearly the same one in all classes. */
  readonly carries: "shape" | "common" | "none";
}

/**
 * Below these, guidance has nothing to hold on to. Measured (contrast, separation): MNIST 0.45, 0.21; Fashion-MNIST 0.60, 0.39; drawn objects near
 * the centre 0.50, 0.15; the same in random places on even or noisy ground at most 0.01, 0.01; under a bright sky 0.88, 0.03.
 */
export const LEAST_CONTRAST = 0.1;
export const LEAST_SEPARATION = 0.05;

/** One sentence about the measure, and what to do where the prototypes carry no shape. */
export function describeShape({ contrast, separation, carries }: PrototypeShape): string {
  const numbers = `contrast ${contrast.toFixed(2)}, separation ${separation.toFixed(2)}`;
  if (carries === "shape") return `Prototypes carry shape (${numbers}).`;
  const remedy =
    "align or crop the images so that what matters lies at one place, or use --statistic cam-ema, whose prototypes are made of maps";
  return carries === "none"
    ? `Prototypes carry no shape (${numbers}; contrast below ${LEAST_CONTRAST}): the mean images are nearly even, and maps guided to them spread out. Compare with --prototypes constant; ${remedy}.`
    : `Prototypes carry one shape for all classes (${numbers}; separation below ${LEAST_SEPARATION}): they tell maps nothing about their class. Compare with --prototypes global; ${remedy}.`;
}
