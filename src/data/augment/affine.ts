/** [a, b, x, c, d, y]: (u, v) ↦ (a·u + b·v + x, c·u + d·v + y), in coordinates from −1 to 1 over the image. */
export type Matrix = readonly [number, number, number, number, number, number];

export const IDENTITY: Matrix = [1, 0, 0, 0, 1, 0];

/** First `inner`, then `outer`. */
export function compose(outer: Matrix, inner: Matrix): Matrix {
  const [a, b, x, c, d, y] = outer;
  const [e, f, u, g, h, v] = inner;
  return [a * e + b * g, a * f + b * h, a * u + b * v + x, c * e + d * g, c * f + d * h, c * u + d * v + y];
}

// Each says where a place of the new image comes from; `aspect` is W / H.

/** Turns the image by these radians about its middle. */
export function rotation(radians: number, aspect: number): Matrix {
  const [cos, sin] = [Math.cos(radians), Math.sin(radians)];
  return [cos, sin / aspect, 0, -sin * aspect, cos, 0];
}

/** Moves the image by these shares of its sides. */
export const translation = (right: number, down: number): Matrix => [1, 0, -2 * right, 0, 1, -2 * down];

/** Slants the image about its middle: a row by `along` pixels for each row below the middle, a column likewise. */
export const shear = (along: number, across: number, aspect: number): Matrix => [
  ...([1, -along / aspect, 0] as const),
  ...([-across * aspect, 1, 0] as const),
];

/** Cuts a rectangle, given in shares, and brings it to the size of the image. */
export const cutting = ([top, left, bottom, right]: readonly [number, number, number, number]): Matrix => [
  ...([right - left, 0, left + right - 1] as const),
  ...([0, bottom - top, top + bottom - 1] as const),
];
