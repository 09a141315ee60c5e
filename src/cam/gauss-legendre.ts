/** A point of [0, 1] and its weight in a sum that stands for an integral. */
export interface Node {
  readonly point: number;
  readonly weight: number;
}

/** Gauss-Legendre quadrature on [0, 1] with n points, exact for polynomials of degree 2n − 1: roots of the Legendre polynomial P_n by Newton's method. */
export function gaussLegendre(n: number): Node[] {
  return Array.from({ length: n }, (_, i) => {
    let root = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
    let slope = 1;
    for (let iteration = 0; iteration < 100; iteration++) {
      const { value, derivative } = legendre(n, root);
      slope = derivative;
      const step = value / derivative;
      root -= step;
      if (Math.abs(step) < 1e-16) break;
    }
    return { point: (1 - root) / 2, weight: 1 / ((1 - root * root) * slope * slope) };
  });
}

/** P_n and its derivative at z, by the three-term recurrence. */
function legendre(n: number, z: number): { value: number; derivative: number } {
  let [before, value] = [1, z];
  for (let k = 2; k <= n; k++) [before, value] = [value, ((2 * k - 1) * z * value - (k - 1) * before) / k];
  return { value, derivative: (n * (z * value - before)) / (z * z - 1) };
}
