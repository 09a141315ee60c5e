import * as aten from "./generated/aten.ts";
import { Tensor } from "./tensor.ts";

/** Eigenvalues (…, n), ascending, and eigenvectors (…, n, n), in columns, of symmetric matrices (…, n, n), of which the lower triangle is read. */
export function eigh(a: Tensor): { values: Tensor; vectors: Tensor } {
  const [values, vectors] = aten.linalgEigh(a);
  return { values: new Tensor(values), vectors: new Tensor(vectors) };
}

/** x with a x = b, for square a (…, n, n) and b (…, n, k). */
export function solve(a: Tensor, b: Tensor): Tensor {
  return new Tensor(aten.linalgSolve(a, b));
}
