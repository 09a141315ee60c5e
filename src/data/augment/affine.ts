/**
 * [a, b, x, c, d, y]: (u, v) ↦ (a·u + b·v + x, c·u + d·v + y), in coordinates from −1 to 1 over the image. The matrix
 * of a change maps each position of the new image to the position in the old image that it is sampled from. `aspect` is
 * W / H.
 */
export type Matrix = readonly [number, number, number, number, number, number];

export const IDENTITY: Matrix = [1, 0, 0, 0, 1, 0];

/** The composition that applies `inner` first and then `outer`. */
export function compose(outer: Matrix, inner: Matrix): Matrix {
  const [a, b, x, c, d, y] = outer;
  const [e, f, u, g, h, v] = inner;
  return [a * e + b * g, a * f + b * h, a * u + b * v + x, c * e + d * g, c * f + d * h, c * u + d * v + y];
}

/** Rotates the image about its centre, by an angle in radians. */
export function rotation(radians: number, aspect: number): Matrix {
  const [cos, sin] = [Math.cos(radians), Math.sin(radians)];
  return [cos, sin / aspect, 0, -sin * aspect, cos, 0];
}

/** Shifts the image to the right and down, by shares of its sides. */
export const translation = (right: number, down: number): Matrix => [1, 0, -2 * right, 0, 1, -2 * down];

/**
 * Shears the image about its centre: each row is shifted by `along` pixels for every row below the centre, and each
 * column by `across` pixels for every column to the right of it.
 */
export const shear = (along: number, across: number, aspect: number): Matrix => [
  ...([1, -along / aspect, 0] as const),
  ...([-across * aspect, 1, 0] as const),
];

/** Crops a rectangle, given in shares of the sides, and resizes it to the size of the image. */
export const cutting = ([top, left, bottom, right]: readonly [number, number, number, number]): Matrix => [
  ...([right - left, 0, left + right - 1] as const),
  ...([0, bottom - top, top + bottom - 1] as const),
];
