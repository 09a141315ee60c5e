import { types } from "node:util";
import { callSync, describeValue } from "../arguments.ts";
import { arena, check, type Handle, native, putLength } from "../engine/internal.ts";
import { BatchCamError } from "../errors.ts";
import { DTYPES, type DType, dtypeOf } from "./dtype.ts";

/// <reference lib="esnext.disposable" preserve="true" />

interface Description {
  readonly dtype: DType;
  readonly device: string;
  readonly shape: readonly number[];
}

const DISPOSED = -1;

/** The tensors that are made while a scope is the current one belong to it; see `tidy`. */
export class Scope {
  readonly parent: Scope | null;
  readonly members: TensorCore[] = [];
  constructor(parent: Scope | null) {
    this.parent = parent;
  }
}

let current: Scope | null = null;

export function currentScope(): Scope | null {
  return current;
}

export function setCurrentScope(scope: Scope | null): void {
  current = scope;
}

// Frees a tensor that no scope owns when JavaScript collects it. Tensors in a scope are not registered here.
const forgotten = new FinalizationRegistry<Handle>((handle) => releaseHandles([handle], { collected: true }));

function releaseHandles(handles: readonly number[], { collected = false } = {}): void {
  for (let start = 0; start < handles.length; start += arena.length) {
    const count = Math.min(arena.length, handles.length - start);
    for (let i = 0; i < count; i++) arena[i] = handles[start + i] as number;
    check("dispose", native.release(count, collected));
  }
}

// These functions need the private fields of the class, so its static block assigns them.

/** Returns the handle of an argument. It throws as `expectTensor` does. */
export let handleOf: (value: TensorCore, place: string) => Handle;
export let scopeOf: (tensor: TensorCore) => Scope | null;
export let moveToScope: (tensor: TensorCore, scope: Scope | null) => void;
export let closeScope: (scope: Scope) => void;
/** Exchanges the native tensors of two objects. Each object stays in its scope. */
export let exchangeTensors: (a: TensorCore, b: TensorCore) => void;
/** Whether a value is a tensor. A Proxy of a tensor, or an object that only inherits from Tensor, is not one. */
export let isTensor: (value: unknown) => value is TensorCore;
let descriptionOf: (tensor: TensorCore, place: string) => Description;

/** The base class of tensors, without operators: a native tensor, its lifetime and its description. */
export class TensorCore {
  #handle: number;
  #scope: Scope | null;
  #description: Description | undefined;

  constructor(handle: Handle) {
    if ((handle | 0) !== handle) throw notATensor(handle, "new Tensor: handle");
    this.#handle = handle;
    this.#scope = current;
    if (current !== null) current.members.push(this);
    else forgotten.register(this, handle, this);
  }

  static {
    handleOf = (value, place) => {
      if (!(typeof value === "object" && value !== null && #handle in value)) throw notATensor(value, place);
      if (value.#handle === DISPOSED) throw disposed(place);
      return value.#handle as Handle;
    };
    isTensor = (value): value is TensorCore => typeof value === "object" && value !== null && #handle in value;
    scopeOf = (tensor) => tensor.#scope;
    moveToScope = (tensor, scope) => {
      if (tensor.#handle === DISPOSED || tensor.#scope === scope) return;
      if (tensor.#scope === null) forgotten.unregister(tensor);
      tensor.#scope = scope;
      if (scope !== null) scope.members.push(tensor);
      else forgotten.register(tensor, tensor.#handle as Handle, tensor);
    };
    descriptionOf = (tensor, place) => {
      const handle = handleOf(tensor, place);
      tensor.#description ??= describe(handle);
      return tensor.#description;
    };
    exchangeTensors = (a, b) => {
      const handles = [handleOf(a, "exchangeTensors: a"), handleOf(b, "exchangeTensors: b")] as const;
      [a.#description, b.#description] = [b.#description, a.#description];
      for (const [tensor, handle] of [
        [a, handles[1]],
        [b, handles[0]],
      ] as const) {
        tensor.#handle = handle;
        if (tensor.#scope !== null) continue;
        forgotten.unregister(tensor);
        forgotten.register(tensor, handle, tensor);
      }
    };
    closeScope = (scope) => {
      const handles: number[] = [];
      for (const tensor of scope.members) {
        if (tensor.#scope !== scope || tensor.#handle === DISPOSED) continue;
        handles.push(tensor.#handle);
        tensor.#handle = DISPOSED;
      }
      releaseHandles(handles);
    };
  }

  /** The sizes of the dimensions, outermost first. */
  get shape(): number[] {
    return [...descriptionOf(this, "shape").shape];
  }

  /** The shape without a copy, for frequently called code that only reads it. */
  get sizes(): readonly number[] {
    return descriptionOf(this, "sizes").shape;
  }

  get dtype(): DType {
    return descriptionOf(this, "dtype").dtype;
  }

  get device(): string {
    return descriptionOf(this, "device").device;
  }

  get ndim(): number {
    return descriptionOf(this, "ndim").shape.length;
  }

  get numel(): number {
    return elements(descriptionOf(this, "numel"));
  }

  /** The number of bytes of the elements, whether or not other tensors share them. */
  get nbytes(): number {
    const description = descriptionOf(this, "nbytes");
    return elements(description) * DTYPES[description.dtype].bytes;
  }

  get isDisposed(): boolean {
    if (!isTensor(this)) throw notATensor(this, "isDisposed");
    return this.#handle === DISPOSED;
  }

  /** Frees the native tensor immediately. A second call does nothing. */
  dispose(): void {
    if (!isTensor(this)) throw notATensor(this, "dispose");
    if (this.#handle === DISPOSED) return;
    if (this.#scope === null) forgotten.unregister(this);
    const handle = this.#handle;
    this.#handle = DISPOSED;
    releaseHandles([handle]);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const elements = ({ shape }: Description): number => shape.reduce((product, size) => product * size, 1);

function describe(handle: Handle): Description {
  check("tensor", native.describeTensor(handle));
  const [dtype = 0, deviceType = 0, deviceIndex = 0, , , , rank = 0] = arena;
  return {
    dtype: dtypeOf(dtype),
    device: deviceType === 0 ? "cpu" : `cuda:${deviceIndex}`,
    shape: Array.from(arena.subarray(7, 7 + rank)),
  };
}

/** The handle of an operator's argument that may be absent. */
export function optionalHandle(value: TensorCore | null | undefined, place: string): number {
  return value === undefined || value === null ? Number.NaN : handleOf(value, place);
}

/** Writes a list of tensors, as `listOf` returns it, to the arena from `start` on, and returns the position after it. */
export function putTensors(start: number, tensors: readonly TensorCore[], place: string): number {
  let p = putLength(start, tensors.length, place);
  for (let i = 0; i < tensors.length; i++) arena[p++] = handleOf(tensors[i] as TensorCore, place);
  return p;
}

/**
 * Checks that an argument is a tensor that was not disposed. `place` is the operation and the argument in messages, such as "conv2d:
 * weight".
 *
 * @throws E_ARGUMENT for any other value, E_DISPOSED for a disposed tensor
 */
export function expectTensor(value: TensorCore, place: string): void {
  handleOf(value, place);
}

function disposed(place: string): BatchCamError {
  const advice = "return it from its tidy, or keep() it, to use it later";
  return new BatchCamError("E_DISPOSED", `${place}: the tensor was disposed: ${advice}`);
}

function notATensor(value: unknown, place: string): BatchCamError {
  const advice = "make one with tensor(); a tensor does not travel between threads, send its data()";
  return new BatchCamError("E_ARGUMENT", `${place}: expected a Tensor, got ${describeValue(value)}: ${advice}`);
}

/**
 * Runs `fn` and frees every tensor that is made in it, except those in its result (a tensor, or nested arrays, Maps or
 * plain objects of tensors) and those given to `keep`. `fn` must be synchronous: a promise is refused with E_ARGUMENT.
 * Scopes can be nested, and a result belongs to the enclosing scope. If `fn` throws, all its tensors are freed.
 */
export function tidy<T>(fn: () => T): T {
  const scope = new Scope(currentScope());
  setCurrentScope(scope);
  try {
    const result = callSync("tidy", fn);
    forEachTensor(result, (tensor) => {
      // A tensor that was made outside `fn` stays in its own scope.
      if (scopeOf(tensor) === scope) moveToScope(tensor, scope.parent);
    });
    return result;
  } finally {
    setCurrentScope(scope.parent);
    closeScope(scope);
  }
}

/** Exempts a tensor from every enclosing `tidy`. It exists until it is disposed or collected by the garbage collector. */
export function keep<T extends TensorCore>(tensor: T): T {
  expectTensor(tensor, "keep: tensor");
  moveToScope(tensor, null);
  return tensor;
}

/** Visits every tensor of a result. It keeps a list of pending values instead of recursing, so that the depth is not limited. */
function forEachTensor(result: unknown, visit: (tensor: TensorCore) => void): void {
  if (typeof result !== "object" || result === null) return;
  const seen = new Set<object>();
  const open: unknown[] = [result];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== "object" || value === null) continue;
    if (isTensor(value)) visit(value);
    else if (!seen.has(value)) {
      seen.add(value);
      for (const item of valuesIn(value)) open.push(item);
    }
  }
}

function valuesIn(value: object): Iterable<unknown> {
  if (Array.isArray(value)) return Object.values(value);
  if (types.isMap(value)) return Map.prototype.values.call(value);
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? Object.values(value) : [];
}
