import { native } from "../native/addon.ts";
import { arena, check, type Handle, type Scalar } from "../native/dispatch.ts";
import { BatchCamError } from "../errors.ts";
import { handleOf, TensorCore } from "./core.ts";
import { codeOf, type DType, DTYPES, type TypedArray } from "./dtype.ts";
import * as aten from "./generated/aten.ts";

/** A tensor or a number on the right of an operator. */
export type Operand = Tensor | Scalar;
/** Dimensions to reduce, all of them by default; negative ones count from the end. */
export type Dims = number | readonly number[];
export interface ReduceOptions {
  keepDims?: boolean;
}

const wrap = (handle: Handle) => new Tensor(handle);
const listOf = (dims: Dims | undefined) => (dims === undefined ? undefined : typeof dims === "number" ? [dims] : dims);

type TensorOperator = (self: Handle, other: Handle) => Handle;
type ScalarOperator = (self: Handle, other: Scalar) => Handle;

function binary(self: Tensor, other: Operand, withTensor: TensorOperator, withScalar: ScalarOperator): Tensor {
  if (typeof other === "number" || typeof other === "boolean") return wrap(withScalar(handleOf(self), other));
  return wrap(withTensor(handleOf(self), handleOf(other)));
}

/**
 * An n-dimensional array of libtorch. Methods are torch's, in camelCase; shapes broadcast and dtypes promote as in torch.
 * Memory is native: make tensors inside `tidy`, or `dispose` them, or leave them to the garbage collector, which frees
 * nothing before the event loop turns.
 */
export class Tensor extends TensorCore {
  // ---- autograd
  get requiresGrad(): boolean {
    check("requiresGrad", native.describeTensor(handleOf(this)));
    return arena[3] === 1;
  }
  set requiresGrad(value: boolean) {
    check("requiresGrad", native.setRequiresGrad(handleOf(this), value));
  }
  /** Sets `requiresGrad` and returns this tensor. */
  requiresGrad_(value = true): this {
    this.requiresGrad = value;
    return this;
  }
  /** Whether autograd made this tensor from others (false) or it stands at the root (true). */
  get isLeaf(): boolean {
    check("isLeaf", native.describeTensor(handleOf(this)));
    return arena[4] === 1;
  }
  /** The gradient that `backward` gathered, or null. Each read is a new handle on the same memory. */
  get grad(): Tensor | null {
    check("grad", native.gradientOf(handleOf(this)));
    const handle = arena[0] as Handle;
    return handle < 0 ? null : wrap(handle);
  }
  set grad(value: Tensor | null) {
    check("grad", native.setGradient(handleOf(this), value === null ? -1 : handleOf(value)));
  }
  /** The same values outside any graph; shares memory. */
  detach(): Tensor {
    return wrap(aten.detach(handleOf(this)));
  }

  // ---- values
  /** A contiguous copy: BigInt64Array for int64, Uint8Array for bool, Float32Array for the 16-bit floats. */
  data(): TypedArray {
    const plain = this.dtype === "bfloat16" || this.dtype === "float16" ? this.to("float32") : this.contiguous();
    const out = DTYPES[this.dtype].array(this.numel);
    check("data", native.readBytes(handleOf(plain), 0, new Uint8Array(out.buffer)));
    plain.dispose();
    return out;
  }
  /** The value of a tensor of one element, as a number (bool: 0 or 1). */
  item(): number {
    if (this.numel !== 1) throw new BatchCamError("E_SHAPE", `item: needs one element, got shape [${this.shape}]`);
    return aten.rawLocalScalarDense(handleOf(this));
  }
  override toString(): string {
    if (this.isDisposed) return "Tensor(disposed)";
    const flat = this.numel > 8 ? this.detach().reshape([-1]).narrow(0, 0, 8) : this.detach();
    const values = Array.from(flat.data() as ArrayLike<number | bigint>, (value) => Number(value).toPrecision(5));
    return `Tensor([${this.shape}], ${this.dtype}, [${values.join(", ")}${this.numel > 8 ? ", ..." : ""}])`;
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  // ---- conversion and layout
  /** Another dtype ("float64") or device ("cpu"); this tensor itself where nothing changes, as in torch. */
  to(target: DType | "cpu" | (string & {})): Tensor {
    if (target in DTYPES) return wrap(aten.toDtype(handleOf(this), codeOf(target as DType)));
    if (target === this.device) return wrap(aten.alias(handleOf(this)));
    throw new BatchCamError("E_ARGUMENT", `to: expected a dtype or the device "cpu", got ${JSON.stringify(target)}`);
  }
  clone(): Tensor {
    return wrap(aten.clone(handleOf(this)));
  }
  contiguous(memoryFormat: "contiguous" | "channelsLast" = "contiguous"): Tensor {
    return wrap(aten.contiguous(handleOf(this), memoryFormat === "contiguous" ? 0 : 2));
  }
  reshape(shape: readonly number[]): Tensor {
    return wrap(aten.reshape(handleOf(this), shape));
  }
  view(shape: readonly number[]): Tensor {
    return wrap(aten.view(handleOf(this), shape));
  }
  flatten(start = 0, end = -1): Tensor {
    return wrap(aten.flattenUsingInts(handleOf(this), start, end));
  }
  permute(dims: readonly number[]): Tensor {
    return wrap(aten.permute(handleOf(this), dims));
  }
  transpose(a: number, b: number): Tensor {
    return wrap(aten.transposeInt(handleOf(this), a, b));
  }
  /** Matrix transpose of the last two dimensions. */
  t(): Tensor {
    return this.transpose(-2, -1);
  }
  unsqueeze(dim: number): Tensor {
    return wrap(aten.unsqueeze(handleOf(this), dim));
  }
  squeeze(dim?: number): Tensor {
    return wrap(dim === undefined ? aten.squeeze(handleOf(this)) : aten.squeezeDim(handleOf(this), dim));
  }
  expand(shape: readonly number[]): Tensor {
    return wrap(aten.expand(handleOf(this), shape));
  }
  repeat(repeats: readonly number[]): Tensor {
    return wrap(aten.repeat(handleOf(this), repeats));
  }
  narrow(dim: number, start: number, length: number): Tensor {
    return wrap(aten.narrow(handleOf(this), dim, start, length));
  }
  select(dim: number, index: number): Tensor {
    return wrap(aten.selectInt(handleOf(this), dim, index));
  }
  slice(dim: number, start?: number, end?: number, step = 1): Tensor {
    return wrap(aten.sliceTensor(handleOf(this), dim, start, end, step));
  }
  flip(dims: readonly number[]): Tensor {
    return wrap(aten.flip(handleOf(this), dims));
  }
  indexSelect(dim: number, index: Tensor): Tensor {
    return wrap(aten.indexSelect(handleOf(this), dim, handleOf(index)));
  }
  gather(dim: number, index: Tensor): Tensor {
    return wrap(aten.gather(handleOf(this), dim, handleOf(index)));
  }
  indexAdd(dim: number, index: Tensor, source: Tensor): Tensor {
    return wrap(aten.indexAdd(handleOf(this), dim, handleOf(index), handleOf(source)));
  }
  scatter(dim: number, index: Tensor, value: Scalar): Tensor {
    return wrap(aten.scatterValue(handleOf(this), dim, handleOf(index), value));
  }
  maskedFill(mask: Tensor, value: Scalar): Tensor {
    return wrap(aten.maskedFillScalar(handleOf(this), handleOf(mask), value));
  }
  maskedSelect(mask: Tensor): Tensor {
    return wrap(aten.maskedSelect(handleOf(this), handleOf(mask)));
  }
  nonzero(): Tensor {
    return wrap(aten.nonzero(handleOf(this)));
  }
  unbind(dim = 0): Tensor[] {
    return aten.unbindInt(handleOf(this), dim).map(wrap);
  }
  split(size: number, dim = 0): Tensor[] {
    return aten.splitTensor(handleOf(this), size, dim).map(wrap);
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
    return wrap(aten.maximum(handleOf(this), handleOf(other)));
  }
  minimum(other: Tensor): Tensor {
    return wrap(aten.minimum(handleOf(this), handleOf(other)));
  }
  /** `this + weight * (end - this)`. */
  lerp(end: Tensor, weight: Tensor | number): Tensor {
    const [self, other] = [handleOf(this), handleOf(end)];
    return wrap(typeof weight === "number" ? aten.lerpScalar(self, other, weight) : aten.lerpTensor(self, other, handleOf(weight)));
  }
  clamp(min?: number, max?: number): Tensor {
    return wrap(aten.clamp(handleOf(this), min, max));
  }
  neg(): Tensor {
    return wrap(aten.neg(handleOf(this)));
  }
  abs(): Tensor {
    return wrap(aten.abs(handleOf(this)));
  }
  sign(): Tensor {
    return wrap(aten.sign(handleOf(this)));
  }
  exp(): Tensor {
    return wrap(aten.exp(handleOf(this)));
  }
  log(): Tensor {
    return wrap(aten.log(handleOf(this)));
  }
  sqrt(): Tensor {
    return wrap(aten.sqrt(handleOf(this)));
  }
  rsqrt(): Tensor {
    return wrap(aten.rsqrt(handleOf(this)));
  }
  square(): Tensor {
    return wrap(aten.square(handleOf(this)));
  }
  reciprocal(): Tensor {
    return wrap(aten.reciprocal(handleOf(this)));
  }
  sin(): Tensor {
    return wrap(aten.sin(handleOf(this)));
  }
  cos(): Tensor {
    return wrap(aten.cos(handleOf(this)));
  }
  floor(): Tensor {
    return wrap(aten.floor(handleOf(this)));
  }
  ceil(): Tensor {
    return wrap(aten.ceil(handleOf(this)));
  }
  round(): Tensor {
    return wrap(aten.round(handleOf(this)));
  }
  erf(): Tensor {
    return wrap(aten.erf(handleOf(this)));
  }
  relu(): Tensor {
    return wrap(aten.relu(handleOf(this)));
  }
  sigmoid(): Tensor {
    return wrap(aten.sigmoid(handleOf(this)));
  }
  tanh(): Tensor {
    return wrap(aten.tanh(handleOf(this)));
  }
  softmax(dim: number): Tensor {
    return wrap(aten.softmaxInt(handleOf(this), dim));
  }
  logSoftmax(dim: number): Tensor {
    return wrap(aten.logSoftmaxInt(handleOf(this), dim));
  }
  matmul(other: Tensor): Tensor {
    return wrap(aten.matmul(handleOf(this), handleOf(other)));
  }
  mm(other: Tensor): Tensor {
    return wrap(aten.mm(handleOf(this), handleOf(other)));
  }
  bmm(other: Tensor): Tensor {
    return wrap(aten.bmm(handleOf(this), handleOf(other)));
  }
  dot(other: Tensor): Tensor {
    return wrap(aten.dot(handleOf(this), handleOf(other)));
  }

  // ---- reductions
  sum(dims?: Dims, { keepDims = false }: ReduceOptions = {}): Tensor {
    return wrap(aten.sumDimIntList(handleOf(this), listOf(dims), keepDims));
  }
  mean(dims?: Dims, { keepDims = false }: ReduceOptions = {}): Tensor {
    return wrap(aten.meanDim(handleOf(this), listOf(dims), keepDims));
  }
  /** Variance; `correction` 1 (unbiased) by default, as in torch. */
  var(dims?: Dims, { keepDims = false, correction = 1 }: ReduceOptions & { correction?: number } = {}): Tensor {
    return wrap(aten.varCorrection(handleOf(this), listOf(dims), correction, keepDims));
  }
  std(dims?: Dims, { keepDims = false, correction = 1 }: ReduceOptions & { correction?: number } = {}): Tensor {
    return wrap(aten.stdCorrection(handleOf(this), listOf(dims), correction, keepDims));
  }
  /** Largest values; the gradient is shared equally among ties. */
  amax(dims: Dims = [], { keepDims = false }: ReduceOptions = {}): Tensor {
    return wrap(aten.amax(handleOf(this), listOf(dims), keepDims));
  }
  amin(dims: Dims = [], { keepDims = false }: ReduceOptions = {}): Tensor {
    return wrap(aten.amin(handleOf(this), listOf(dims), keepDims));
  }
  max(): Tensor {
    return wrap(aten.max(handleOf(this)));
  }
  min(): Tensor {
    return wrap(aten.min(handleOf(this)));
  }
  argmax(dim?: number, { keepDims = false }: ReduceOptions = {}): Tensor {
    return wrap(aten.argmax(handleOf(this), dim, keepDims));
  }
  argmin(dim?: number, { keepDims = false }: ReduceOptions = {}): Tensor {
    return wrap(aten.argmin(handleOf(this), dim, keepDims));
  }
  /** L2 norm over `dims`. */
  norm(dims?: Dims, { keepDims = false }: ReduceOptions = {}): Tensor {
    return wrap(aten.linalgVectorNorm(handleOf(this), 2, listOf(dims), keepDims));
  }
  all(): Tensor {
    return wrap(aten.all(handleOf(this)));
  }
  any(): Tensor {
    return wrap(aten.any(handleOf(this)));
  }
  cumsum(dim: number): Tensor {
    return wrap(aten.cumsum(handleOf(this), dim));
  }
  sort(dim = -1, { descending = false } = {}): { values: Tensor; indices: Tensor } {
    return pair(aten.sort(handleOf(this), dim, descending));
  }
  topk(k: number, dim = -1): { values: Tensor; indices: Tensor } {
    return pair(aten.topk(handleOf(this), k, dim));
  }
  /** The lower of the two middle values where their number is even, as in torch. */
  median(dim: number): { values: Tensor; indices: Tensor } {
    return pair(aten.medianDim(handleOf(this), dim));
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
    return wrap(aten.logicalAnd(handleOf(this), handleOf(other)));
  }
  logicalOr(other: Tensor): Tensor {
    return wrap(aten.logicalOr(handleOf(this), handleOf(other)));
  }
  logicalNot(): Tensor {
    return wrap(aten.logicalNot(handleOf(this)));
  }
  isnan(): Tensor {
    return wrap(aten.isnan(handleOf(this)));
  }
  isfinite(): Tensor {
    return wrap(aten.isfinite(handleOf(this)));
  }
  /** Whether both have one shape and the same values. */
  equal(other: Tensor): boolean {
    return aten.equal(handleOf(this), handleOf(other)) !== 0;
  }

  // ---- in place
  add_(other: Operand): this {
    return this.#inPlace(other, aten.addInPlaceTensor, aten.addInPlaceScalar);
  }
  sub_(other: Tensor): this {
    aten.subInPlaceTensor(handleOf(this), handleOf(other));
    return this;
  }
  mul_(other: Operand): this {
    return this.#inPlace(other, aten.mulInPlaceTensor, aten.mulInPlaceScalar);
  }
  div_(other: Tensor): this {
    aten.divInPlaceTensor(handleOf(this), handleOf(other));
    return this;
  }
  lerp_(end: Tensor, weight: number): this {
    aten.lerpInPlaceScalar(handleOf(this), handleOf(end), weight);
    return this;
  }
  clamp_(min?: number, max?: number): this {
    aten.clampInPlace(handleOf(this), min, max);
    return this;
  }
  zero_(): this {
    aten.zeroInPlace(handleOf(this));
    return this;
  }
  fill_(value: Scalar): this {
    aten.fillInPlaceScalar(handleOf(this), value);
    return this;
  }
  copy_(source: Tensor): this {
    aten.copyInPlace(handleOf(this), handleOf(source));
    return this;
  }
  indexAdd_(dim: number, index: Tensor, source: Tensor): this {
    aten.indexAddInPlace(handleOf(this), dim, handleOf(index), handleOf(source));
    return this;
  }
  normal_(mean = 0, std = 1): this {
    aten.normalInPlace(handleOf(this), mean, std);
    return this;
  }
  uniform_(from = 0, to = 1): this {
    aten.uniformInPlace(handleOf(this), from, to);
    return this;
  }
  bernoulli_(p: number): this {
    aten.bernoulliInPlaceFloat(handleOf(this), p);
    return this;
  }

  #inPlace(
    other: Operand,
    withTensor: (self: Handle, other: Handle) => void,
    withScalar: (self: Handle, other: Scalar) => void,
  ): this {
    if (typeof other === "number" || typeof other === "boolean") withScalar(handleOf(this), other);
    else withTensor(handleOf(this), handleOf(other));
    return this;
  }
}

function pair([values, indices]: [Handle, Handle]): { values: Tensor; indices: Tensor } {
  return { values: wrap(values), indices: wrap(indices) };
}
