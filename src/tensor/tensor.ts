import { callSync, optionsOf, wrongArgument } from "../arguments.ts";
import { arena, boolean, check, type Handle, native, optionalIntegers, type Scalar } from "../engine/internal.ts";
import { BatchCamError } from "../errors.ts";
import { expectTensor, handleOf, TensorCore } from "./core.ts";
import { codeOf, DTYPES, type DType, isDType, type TypedArray } from "./dtype.ts";
import * as aten from "./generated/aten.ts";
import { jsonOf, leavesOf, type NestedArray, nestedOf, printed } from "./print.ts";

/** The right operand of an operator: a tensor or a number. */
export type Operand = Tensor | Scalar;
/** The dimensions to reduce (default: all). Negative ones count from the end. */
export type Dims = number | readonly number[];
export interface ReduceOptions {
  keepDims?: boolean;
}

const wrap = (handle: Handle) => new Tensor(handle);
const dimsOf = (dims: Dims | undefined) => (dims === undefined ? undefined : typeof dims === "number" ? [dims] : dims);

function keepDimsOf(operation: string, options: ReduceOptions | undefined): boolean {
  if (options === undefined) return false;
  const { keepDims = false } = optionsOf(operation, options, ["keepDims"]);
  return keepDims;
}

type TensorOperator<Result> = (self: Tensor, other: Tensor) => Result;
type ScalarOperator<Result> = (self: Tensor, other: Scalar) => Result;

export function isScalar(value: unknown): value is Scalar {
  return typeof value === "number" || typeof value === "boolean";
}

function binary(
  self: Tensor,
  other: Operand,
  withTensor: TensorOperator<Handle>,
  withScalar: ScalarOperator<Handle>,
): Tensor {
  return wrap(isScalar(other) ? withScalar(self, other) : withTensor(self, other));
}

/**
 * An n-dimensional array of libtorch. Methods are torch's, in camelCase; shapes broadcast and dtypes promote as in
 * torch. Memory is native. Make tensors inside `tidy`, or `dispose` them, or leave them to the garbage collector, which
 * frees nothing until control returns to the event loop.
 */
export class Tensor extends TensorCore {
  // ---- autograd
  get requiresGrad(): boolean {
    check("requiresGrad", native.describeTensor(handleOf(this, "requiresGrad")));
    return arena[3] === 1;
  }
  set requiresGrad(value: boolean) {
    check(
      "requiresGrad",
      native.setRequiresGrad(handleOf(this, "requiresGrad"), boolean(value, "requiresGrad: value")),
    );
  }
  /** Sets `requiresGrad` and returns this tensor. */
  requiresGrad_(value = true): this {
    expectTensor(this, "requiresGrad_");
    this.requiresGrad = value;
    return this;
  }
  /** True if this tensor is a leaf of the graph, false if autograd made it from others. */
  get isLeaf(): boolean {
    check("isLeaf", native.describeTensor(handleOf(this, "isLeaf")));
    return arena[4] === 1;
  }
  /** Whether the elements are in row-major order in memory, as `contiguous()` arranges them. */
  get isContiguous(): boolean {
    check("isContiguous", native.describeTensor(handleOf(this, "isContiguous")));
    return arena[5] === 1;
  }
  /** The gradient that `backward` accumulated, or null. Each read returns a new handle to the same memory. */
  get grad(): Tensor | null {
    check("grad", native.gradientOf(handleOf(this, "grad")));
    const handle = arena[0] as Handle;
    return handle < 0 ? null : wrap(handle);
  }
  set grad(value: Tensor | null) {
    check("grad", native.setGradient(handleOf(this, "grad"), value === null ? -1 : handleOf(value, "grad: value")));
  }
  /** A tensor with the same values outside any graph, which shares the memory. */
  detach(): Tensor {
    return wrap(aten.detach(this));
  }

  // ---- values
  /** A contiguous copy: BigInt64Array for int64, Uint8Array for bool, Float32Array for the 16-bit floats. */
  data(): TypedArray {
    expectTensor(this, "data");
    const plain = this.dtype === "bfloat16" || this.dtype === "float16" ? this.to("float32") : this.contiguous();
    const out = DTYPES[this.dtype].array(this.numel);
    check("data", native.readBytes(handleOf(plain, "data"), 0, new Uint8Array(out.buffer)));
    plain.dispose();
    return out;
  }
  /** The value of a tensor of one element, as a number (bool: 0 or 1). */
  item(): number {
    expectTensor(this, "item");
    if (this.numel !== 1) throw new BatchCamError("E_SHAPE", `item: needs one element, got shape [${this.shape}]`);
    return aten.rawLocalScalarDense(this);
  }
  /**
   * The values as nested arrays, or as a plain value for a tensor without dimensions. They are numbers, booleans for bool, and bigints
   * for an int64 tensor with a value that a number cannot represent.
   */
  tolist<T extends NestedArray = NestedArray>(): T {
    expectTensor(this, "tolist");
    return nestedOf(leavesOf(this.data(), this.dtype), this.sizes) as T;
  }
  /**
   * The value that `JSON.stringify` writes: the nested arrays of `tolist`, with null for NaN and infinity.
   * `tensor(JSON.parse(text))` reads them back; dtype and device are not written.
   *
   * @throws E_ARGUMENT for more than 2^20 values, because a logger that is given a model's weights would write hundreds
   * of megabytes, and for int64 values beyond 2^53, which readers of JSON round
   */
  toJSON(): NestedArray {
    expectTensor(this, "toJSON");
    return jsonOf(this);
  }
  /** The tensor in torch's format. A REPL and `console.log` print it too. */
  override toString(): string {
    return this.isDisposed ? "tensor(disposed)" : printed(this);
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  // ---- conversion and layout
  /** Converts to another dtype ("float64") or device ("cpu"). Returns this tensor if nothing changes, as in torch. */
  to(target: DType | "cpu" | (string & {})): Tensor {
    expectTensor(this, "to");
    if (isDType(target)) return wrap(aten.toDtype(this, codeOf(target)));
    if (target === this.device) return wrap(aten.alias(this));
    throw wrongArgument(
      "to: target",
      'a dtype ("float32", "bfloat16" ...) or the device "cpu", the only one of this engine',
      target,
    );
  }
  clone(): Tensor {
    return wrap(aten.clone(this));
  }
  contiguous(memoryFormat: "contiguous" | "channelsLast" = "contiguous"): Tensor {
    return wrap(aten.contiguous(this, memoryFormat === "contiguous" ? 0 : 2));
  }
  reshape(shape: readonly number[]): Tensor {
    return wrap(aten.reshape(this, shape));
  }
  view(shape: readonly number[]): Tensor {
    return wrap(aten.view(this, shape));
  }
  flatten(start = 0, end = -1): Tensor {
    return wrap(aten.flattenUsingInts(this, start, end));
  }
  permute(dims: readonly number[]): Tensor {
    return wrap(aten.permute(this, dims));
  }
  transpose(a: number, b: number): Tensor {
    return wrap(aten.transposeInt(this, a, b));
  }
  /** Matrix transpose of the last two dimensions. */
  t(): Tensor {
    expectTensor(this, "t");
    return this.transpose(-2, -1);
  }
  unsqueeze(dim: number): Tensor {
    return wrap(aten.unsqueeze(this, dim));
  }
  squeeze(dim?: number): Tensor {
    return wrap(dim === undefined ? aten.squeeze(this) : aten.squeezeDim(this, dim));
  }
  expand(shape: readonly number[]): Tensor {
    return wrap(aten.expand(this, shape));
  }
  repeat(repeats: readonly number[]): Tensor {
    return wrap(aten.repeat(this, repeats));
  }
  narrow(dim: number, start: number, length: number): Tensor {
    return wrap(aten.narrow(this, dim, start, length));
  }
  select(dim: number, index: number): Tensor {
    return wrap(aten.selectInt(this, dim, index));
  }
  slice(dim: number, start?: number, end?: number, step = 1): Tensor {
    return wrap(aten.sliceTensor(this, dim, start, end, step));
  }
  flip(dims: readonly number[]): Tensor {
    return wrap(aten.flip(this, dims));
  }
  indexSelect(dim: number, index: Tensor): Tensor {
    return wrap(aten.indexSelect(this, dim, index));
  }
  gather(dim: number, index: Tensor): Tensor {
    return wrap(aten.gather(this, dim, index));
  }
  indexAdd(dim: number, index: Tensor, source: Tensor): Tensor {
    return wrap(aten.indexAdd(this, dim, index, source));
  }
  scatter(dim: number, index: Tensor, value: Scalar): Tensor {
    return wrap(aten.scatterValue(this, dim, index, value));
  }
  maskedFill(mask: Tensor, value: Scalar): Tensor {
    return wrap(aten.maskedFillScalar(this, mask, value));
  }
  maskedSelect(mask: Tensor): Tensor {
    return wrap(aten.maskedSelect(this, mask));
  }
  nonzero(): Tensor {
    return wrap(aten.nonzero(this));
  }
  unbind(dim = 0): Tensor[] {
    return aten.unbindInt(this, dim).map(wrap);
  }
  split(size: number, dim = 0): Tensor[] {
    return aten.splitTensor(this, size, dim).map(wrap);
  }

  // ---- arithmetic
  add(other: Operand): Tensor {
    return binary(this, other, aten.addTensor, aten.addScalar);
  }
  sub(other: Operand): Tensor {
    return binary(this, other, aten.subTensor, aten.subScalar);
  }
  mul(other: Operand): Tensor {
    return binary(this, other, aten.mulTensor, aten.mulScalar);
  }
  div(other: Operand): Tensor {
    return binary(this, other, aten.divTensor, aten.divScalar);
  }
  remainder(other: Operand): Tensor {
    return binary(this, other, aten.remainderTensor, aten.remainderScalar);
  }
  pow(exponent: Operand): Tensor {
    return binary(this, exponent, aten.powTensorTensor, aten.powTensorScalar);
  }
  maximum(other: Tensor): Tensor {
    return wrap(aten.maximum(this, other));
  }
  minimum(other: Tensor): Tensor {
    return wrap(aten.minimum(this, other));
  }
  /** `this + weight * (end - this)`. */
  lerp(end: Tensor, weight: Tensor | number): Tensor {
    return wrap(typeof weight === "number" ? aten.lerpScalar(this, end, weight) : aten.lerpTensor(this, end, weight));
  }
  /** `this + a·b` in one pass; all three broadcast. */
  addcmul(a: Tensor, b: Tensor): Tensor {
    return wrap(aten.addcmul(this, a, b));
  }
  clamp(min?: number, max?: number): Tensor {
    return wrap(aten.clamp(this, min, max));
  }
  neg(): Tensor {
    return wrap(aten.neg(this));
  }
  abs(): Tensor {
    return wrap(aten.abs(this));
  }
  sign(): Tensor {
    return wrap(aten.sign(this));
  }
  exp(): Tensor {
    return wrap(aten.exp(this));
  }
  log(): Tensor {
    return wrap(aten.log(this));
  }
  sqrt(): Tensor {
    return wrap(aten.sqrt(this));
  }
  rsqrt(): Tensor {
    return wrap(aten.rsqrt(this));
  }
  square(): Tensor {
    return wrap(aten.square(this));
  }
  reciprocal(): Tensor {
    return wrap(aten.reciprocal(this));
  }
  sin(): Tensor {
    return wrap(aten.sin(this));
  }
  cos(): Tensor {
    return wrap(aten.cos(this));
  }
  floor(): Tensor {
    return wrap(aten.floor(this));
  }
  ceil(): Tensor {
    return wrap(aten.ceil(this));
  }
  round(): Tensor {
    return wrap(aten.round(this));
  }
  erf(): Tensor {
    return wrap(aten.erf(this));
  }
  relu(): Tensor {
    return wrap(rectify(this));
  }
  sigmoid(): Tensor {
    return wrap(aten.sigmoid(this));
  }
  tanh(): Tensor {
    return wrap(aten.tanh(this));
  }
  softmax(dim: number): Tensor {
    return wrap(aten.softmaxInt(this, dim));
  }
  logSoftmax(dim: number): Tensor {
    return wrap(aten.logSoftmaxInt(this, dim));
  }
  matmul(other: Tensor): Tensor {
    return wrap(aten.matmul(this, other));
  }
  mm(other: Tensor): Tensor {
    return wrap(aten.mm(this, other));
  }
  bmm(other: Tensor): Tensor {
    return wrap(aten.bmm(this, other));
  }
  dot(other: Tensor): Tensor {
    return wrap(aten.dot(this, other));
  }

  // ---- reductions
  sum(dims?: Dims, options?: ReduceOptions): Tensor {
    return wrap(aten.sumDimIntList(this, dimsOf(dims), keepDimsOf("sum", options)));
  }
  mean(dims?: Dims, options?: ReduceOptions): Tensor {
    return wrap(aten.meanDim(this, dimsOf(dims), keepDimsOf("mean", options)));
  }
  /** Variance; `correction` 1 (unbiased) by default, as in torch. */
  var(dims?: Dims, options: ReduceOptions & { correction?: number } = {}): Tensor {
    const { keepDims = false, correction = 1 } = optionsOf("var", options, ["keepDims", "correction"]);
    return wrap(aten.varCorrection(this, dimsOf(dims), correction, keepDims));
  }
  std(dims?: Dims, options: ReduceOptions & { correction?: number } = {}): Tensor {
    const { keepDims = false, correction = 1 } = optionsOf("std", options, ["keepDims", "correction"]);
    return wrap(aten.stdCorrection(this, dimsOf(dims), correction, keepDims));
  }
  /** The largest values. The gradient is shared equally among equal values. */
  amax(dims: Dims = [], options?: ReduceOptions): Tensor {
    return wrap(aten.amax(this, dimsOf(dims), keepDimsOf("amax", options)));
  }
  amin(dims: Dims = [], options?: ReduceOptions): Tensor {
    return wrap(aten.amin(this, dimsOf(dims), keepDimsOf("amin", options)));
  }
  max(): Tensor {
    return wrap(aten.max(this));
  }
  min(): Tensor {
    return wrap(aten.min(this));
  }
  argmax(dim?: number, options?: ReduceOptions): Tensor {
    return wrap(aten.argmax(this, dim, keepDimsOf("argmax", options)));
  }
  argmin(dim?: number, options?: ReduceOptions): Tensor {
    return wrap(aten.argmin(this, dim, keepDimsOf("argmin", options)));
  }
  /** L2 norm over `dims`. */
  norm(dims?: Dims, options?: ReduceOptions): Tensor {
    expectTensor(this, "norm");
    const list = optionalIntegers(dimsOf(dims), "norm: dims");
    return wrap(aten.linalgVectorNorm(this, 2, list, keepDimsOf("norm", options)));
  }
  all(): Tensor {
    return wrap(aten.all(this));
  }
  any(): Tensor {
    return wrap(aten.any(this));
  }
  cumsum(dim: number): Tensor {
    return wrap(aten.cumsum(this, dim));
  }
  sort(dim = -1, options: { descending?: boolean } = {}): { values: Tensor; indices: Tensor } {
    const { descending = false } = optionsOf("sort", options, ["descending"]);
    return pair(aten.sort(this, dim, descending));
  }
  /** The indices that sort `dim`. With `stable`, equal values keep their order. NaN counts as the largest value. */
  argsort(dim = -1, options: { descending?: boolean; stable?: boolean } = {}): Tensor {
    const { descending = false, stable = false } = optionsOf("argsort", options, ["descending", "stable"]);
    return wrap(aten.argsortStable(this, stable, dim, descending));
  }
  topk(k: number, dim = -1): { values: Tensor; indices: Tensor } {
    return pair(aten.topk(this, k, dim));
  }
  /** The lower of the two middle values if the number of values is even, as in torch. */
  median(dim: number): { values: Tensor; indices: Tensor } {
    return pair(aten.medianDim(this, dim));
  }

  // ---- comparison and logic
  eq(other: Operand): Tensor {
    return binary(this, other, aten.eqTensor, aten.eqScalar);
  }
  ne(other: Operand): Tensor {
    return binary(this, other, aten.neTensor, aten.neScalar);
  }
  gt(other: Operand): Tensor {
    return binary(this, other, aten.gtTensor, aten.gtScalar);
  }
  ge(other: Operand): Tensor {
    return binary(this, other, aten.geTensor, aten.geScalar);
  }
  lt(other: Operand): Tensor {
    return binary(this, other, aten.ltTensor, aten.ltScalar);
  }
  le(other: Operand): Tensor {
    return binary(this, other, aten.leTensor, aten.leScalar);
  }
  logicalAnd(other: Tensor): Tensor {
    return wrap(aten.logicalAnd(this, other));
  }
  logicalOr(other: Tensor): Tensor {
    return wrap(aten.logicalOr(this, other));
  }
  logicalNot(): Tensor {
    return wrap(aten.logicalNot(this));
  }
  isnan(): Tensor {
    return wrap(aten.isnan(this));
  }
  isfinite(): Tensor {
    return wrap(aten.isfinite(this));
  }
  /** Whether both have the same shape and the same values. */
  equal(other: Tensor): boolean {
    return aten.equal(this, other) !== 0;
  }

  // ---- in place
  add_(other: Operand): this {
    return inPlace(this, other, aten.addInPlaceTensor, aten.addInPlaceScalar);
  }
  sub_(other: Operand): this {
    return inPlace(this, other, aten.subInPlaceTensor, aten.subInPlaceScalar);
  }
  mul_(other: Operand): this {
    return inPlace(this, other, aten.mulInPlaceTensor, aten.mulInPlaceScalar);
  }
  div_(other: Operand): this {
    return inPlace(this, other, aten.divInPlaceTensor, aten.divInPlaceScalar);
  }
  lerp_(end: Tensor, weight: number): this {
    aten.lerpInPlaceScalar(this, end, weight);
    return this;
  }
  clamp_(min?: number, max?: number): this {
    aten.clampInPlace(this, min, max);
    return this;
  }
  zero_(): this {
    aten.zeroInPlace(this);
    return this;
  }
  fill_(value: Scalar): this {
    aten.fillInPlaceScalar(this, value);
    return this;
  }
  copy_(source: Tensor): this {
    aten.copyInPlace(this, source);
    return this;
  }
  indexAdd_(dim: number, index: Tensor, source: Tensor): this {
    aten.indexAddInPlace(this, dim, index, source);
    return this;
  }
  erfinv_(): this {
    aten.erfinvInPlace(this);
    return this;
  }
  normal_(mean = 0, std = 1): this {
    aten.normalInPlace(this, mean, std);
    return this;
  }
  uniform_(from = 0, to = 1): this {
    aten.uniformInPlace(this, from, to);
    return this;
  }
  bernoulli_(p: number): this {
    aten.bernoulliInPlaceFloat(this, p);
    return this;
  }
}

function inPlace<T extends Tensor>(
  self: T,
  other: Operand,
  withTensor: TensorOperator<void>,
  withScalar: ScalarOperator<void>,
): T {
  if (isScalar(other)) withScalar(self, other);
  else withTensor(self, other);
  return self;
}

function pair([values, indices]: [Handle, Handle]): { values: Tensor; indices: Tensor } {
  return { values: wrap(values), indices: wrap(indices) };
}

let guidedCalls: number | null = null;

/** max(x, 0). Every `relu` calls this function, so that `withGuidedRelu` can change the gradient of all of them. */
export function rectify(x: TensorCore): Handle {
  if (guidedCalls === null) return aten.relu(x);
  guidedCalls++;
  return aten.batchCamGuidedRelu(x);
}

/**
 * Runs `fn`, which must be synchronous, with the gradient of guided backpropagation in every ReLU: a gradient passes only if both it and
 * the ReLU's input are positive (Springenberg et al., arXiv 1412.6806). The values do not change.
 *
 * @returns the result of `fn`, and the number of ReLUs that it computed
 */
export function withGuidedRelu<T>(fn: () => T): { result: T; rectifiers: number } {
  const outer = guidedCalls;
  guidedCalls = 0;
  try {
    return { result: callSync("withGuidedRelu", fn), rectifiers: guidedCalls };
  } finally {
    guidedCalls = outer;
  }
}
