import { counted } from "../counted.ts";
import type { DType } from "../tensor/index.ts";
import { DTYPES } from "../tensor/internal.ts";
import { CONVERT } from "./foreign-formats.ts";
import type { UnpicklerOptions } from "./pickle-machine.ts";
import {
  Callable,
  describePickled,
  ForeignName,
  mayNameData,
  Opaque,
  type PickleValue,
  Tuple,
} from "./pickle-value.ts";
import { quote } from "./safetensors-json.ts";
import { stridedExtent } from "./strided-extent.ts";
import type { Fail } from "./tensor-file.ts";
import type { ArchiveRecord, TorchArchive } from "./torch-archive.ts";

/** A tensor that a pickle describes. It has been checked against the size of its storage, but its values have not been read. */
export class TorchTensor extends Opaque {
  readonly layout: TorchLayout;
  /** Whether it is a torch.nn.Parameter. */
  readonly isParameter: boolean;
  readonly requiresGrad: boolean;
  constructor(layout: TorchLayout, { isParameter = false, requiresGrad = false } = {}) {
    super("a tensor");
    this.layout = layout;
    this.isParameter = isParameter;
    this.requiresGrad = requiresGrad;
  }
}

export interface TorchLayout {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** Its storage, which other tensors may share. */
  readonly storage: ArchiveRecord;
  /** Byte offset of the first element in the file. */
  readonly position: number;
  readonly numel: number;
  /** Number of elements of the storage from the first to the last that the tensor uses, inclusive. */
  readonly extent: number;
}

/** A tensor that torch supports and this engine does not. It is an error only if it is to be read. */
export class ForeignTensor extends Opaque {
  readonly problem: string;
  constructor(problem: string) {
    super("a tensor");
    this.problem = problem;
  }
}

export class StorageType extends Opaque {
  readonly dtype: DType | undefined;
  /** Bytes of an element; undefined if that is not known. */
  readonly bytes: number | undefined;
  constructor(name: string, dtype?: DType) {
    super(name);
    this.dtype = dtype;
    this.bytes = dtype === undefined ? FOREIGN_BYTES[name] : DTYPES[dtype].bytes;
  }
}

/** Bytes of an element of the storages that this engine does not support. */
const FOREIGN_BYTES: Readonly<Record<string, number>> = {
  "torch.ComplexFloatStorage": 8,
  "torch.ComplexDoubleStorage": 16,
  "torch.storage.UntypedStorage": 1,
};

class Storage extends Opaque {
  readonly type: StorageType;
  readonly record: ArchiveRecord;
  constructor(type: StorageType, record: ArchiveRecord) {
    super("a storage");
    this.type = type;
    this.record = record;
  }
}

const STORAGES: ReadonlyMap<string, DType | undefined> = new Map<string, DType | undefined>([
  ["torch.FloatStorage", "float32"],
  ["torch.DoubleStorage", "float64"],
  ["torch.HalfStorage", "float16"],
  ["torch.BFloat16Storage", "bfloat16"],
  ["torch.LongStorage", "int64"],
  ["torch.IntStorage", "int32"],
  ["torch.ShortStorage", "int16"],
  ["torch.CharStorage", "int8"],
  ["torch.ByteStorage", "uint8"],
  ["torch.BoolStorage", "bool"],
  ["torch.ComplexFloatStorage", undefined],
  ["torch.ComplexDoubleStorage", undefined],
  ["torch.storage.UntypedStorage", undefined],
]);

const FOREIGN_DTYPES =
  "uint16 uint32 uint64 complex32 complex64 complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu";

/** Largest number of dimensions that the operators support. */
const MAX_RANK = 64;

/**
 * The names that a file of torch.save may use: storages, the functions that build tensors and parameters, dtypes, and
 * the harmless classes that occur in the states of optimizers and schedulers. Protocol 2 uses the name `__builtin__`
 * for Python's builtins.
 *
 * Source: torch/_utils.py and torch/_weights_only_unpickler.py of PyTorch 2.11.
 */
export function torchGlobals(archive: TorchArchive, fail: Fail): Omit<UnpicklerOptions, "fail"> {
  const dtypes = [...Object.keys(DTYPES), ...FOREIGN_DTYPES.split(" ")].map((name) => `torch.${name}`);
  const plain = (name: string, kind: string) => new Callable(name, () => new Opaque(kind));
  const named: Opaque[] = [
    ...Array.from(STORAGES, ([name, dtype]) => new StorageType(name, dtype)),
    ...dtypes.map((name) => new Opaque(name)),
    new Callable("torch._utils._rebuild_tensor", (args) => rebuildTensor(args, fail)),
    new Callable("torch._utils._rebuild_tensor_v2", (args) => rebuildTensor(args, fail)),
    new Callable("torch._utils._rebuild_tensor_v3", (args) => foreignDType(args[6])),
    new Callable("torch._utils._rebuild_parameter", (args) => rebuildParameter(args, fail)),
    new Callable("torch._utils._rebuild_parameter_with_state", (args) => rebuildParameter(args, fail)),
    new Callable("torch._tensor._rebuild_from_type_v2", (args) => rebuildFromType(args, fail)),
    ...Object.entries(FOREIGN_TENSORS).map(
      ([name, kind]) => new Callable(`torch._utils.${name}`, () => new ForeignTensor(kind)),
    ),
    new Callable("collections.defaultdict", () => new Map()),
    new Callable("collections.OrderedDict", (args) => emptyDict(args, fail)),
    plain("collections.Counter", "a Counter"),
    plain("torch.Size", "a torch.Size"),
    plain("torch.device", "a torch.device"),
    plain("_codecs.encode", "bytes"),
    ...["builtins", "__builtin__"].flatMap((module) => [
      plain(`${module}.set`, "a set"),
      plain(`${module}.frozenset`, "a set"),
      plain(`${module}.complex`, "a complex number"),
      plain(`${module}.bytearray`, "bytes"),
    ]),
  ];
  return {
    globals: new Map(named.map((value) => [value.kind, value])),
    isData: mayNameData,
    persistentLoad: (id) => findStorage(id, archive, fail),
  };
}

/** Functions that build tensors which are not strided views of one storage. */
const FOREIGN_TENSORS = {
  _rebuild_sparse_tensor: "a sparse layout",
  _rebuild_sparse_csr_tensor: "a sparse layout",
  _rebuild_nested_tensor: "a nested layout",
  _rebuild_qtensor: "quantized values",
  _rebuild_meta_tensor_no_storage: "no values (it is on torch's meta device)",
  _rebuild_device_tensor_from_numpy: "a device's own layout",
  _rebuild_wrapper_subclass: "a layout of its own class",
};

/**
 * Builds a tensor with attributes or of a subclass from (function, class, arguments, attributes). The class and the
 * attributes are ignored.
 */
function rebuildFromType([build, , args]: readonly PickleValue[], fail: Fail): PickleValue {
  if (build instanceof Callable && args instanceof Tuple) return build.call(args.items);
  return fail(`a tensor: expected a function that builds it, got ${describePickled(build)}`);
}

/**
 * Resolves a persistent id: ("storage", type, key, device, number of elements). The device is ignored, because tensors
 * are loaded to the CPU. The legacy format adds (key, offset, number of elements) for a storage that is part of another,
 * and uses ("module", class, file, source) for classes of networks.
 */
function findStorage(id: PickleValue, archive: TorchArchive, fail: Fail): Opaque {
  const [tag, type, key, , numel, view] = id instanceof Tuple ? id.items : [];
  if (tag === "module" && type instanceof ForeignName) return type;
  if (tag !== "storage" || !(type instanceof StorageType) || typeof key !== "string" || !isCount(numel)) {
    return fail('data.pkl has a persistent id that is not ("storage", type, key, device, number of elements)');
  }
  const record = archive.get(`data/${key}`);
  if (record === undefined) return fail(`storage ${quote(key)}: expected an entry data/<key> in the archive, got none`);
  const expected = type.dtype === undefined ? record.bytes : numel * DTYPES[type.dtype].bytes;
  if (expected !== record.bytes) {
    fail(
      `storage ${quote(key)}: expected ${counted(expected, "byte")} (${type.kind} of ${numel}), got ${record.bytes}`,
    );
  }
  return new Storage(type, view instanceof Tuple ? partOf(record, { type, view, fail }) : record);
}

function partOf(
  record: ArchiveRecord,
  { type, view, fail }: { type: StorageType; view: Tuple; fail: Fail },
): ArchiveRecord {
  const [, offset, numel] = view.items;
  const { bytes: width = 1 } = type;
  if (!isCount(offset) || !isCount(numel) || (offset + numel) * width > record.bytes)
    return fail("a storage is declared as part of another that is too small to contain it");
  return { position: record.position + offset * width, bytes: numel * width };
}

function rebuildTensor(args: readonly PickleValue[], fail: Fail): Opaque {
  const [storage, offset, size, stride, , , metadata] = args;
  if (!(storage instanceof Storage)) return fail(`a tensor: expected a storage, got ${describePickled(storage)}`);
  const { dtype, kind } = storage.type;
  if (dtype === undefined) return new ForeignTensor(`a dtype that this engine does not support (${kind})`);
  if (metadata instanceof Map && metadata.size > 0) return new ForeignTensor("a conjugate or negative view");
  if (!isCount(offset)) return fail(`a tensor: expected an offset >= 0, got ${describePickled(offset)}`);
  const [shape, strides] = [counts(size, "sizes", fail), counts(stride, "strides", fail)];
  if (shape.length !== strides.length)
    fail(`a tensor: expected ${counted(shape.length, "stride")}, got ${strides.length}`);
  const { bytes } = DTYPES[dtype];
  const used = stridedExtent(shape, strides, bytes);
  if (used === null)
    return fail(
      `a tensor's shape [${shape.join(", ")}] with strides [${strides.join(", ")}] is too large for any memory`,
    );
  const { numel, extent } = used;
  if ((offset + extent) * bytes > storage.record.bytes) {
    const span = `elements ${offset} to ${offset + extent}`;
    fail(`a tensor [${shape.join(", ")}] uses ${span} of a storage of ${storage.record.bytes / bytes}`);
  }
  const { record } = storage;
  const position = record.position + offset * bytes;
  return new TorchTensor({ dtype, shape, strides, storage: record, position, numel, extent });
}

function counts(value: PickleValue | undefined, what: string, fail: Fail): number[] {
  const items = value instanceof Tuple ? value.items : undefined;
  if (items === undefined) return fail(`a tensor: expected a tuple of ${what}, got ${describePickled(value)}`);
  if (items.length > MAX_RANK) fail(`a tensor: expected at most ${MAX_RANK} ${what}, got ${items.length}`);
  return items.map((item) => (isCount(item) ? item : fail(`a tensor: expected ${what} >= 0`)));
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
}

/**
 * Handles version 3 of the function, which torch uses only for dtypes without a storage class. The engine supports none
 * of these.
 */
function foreignDType(dtype: PickleValue | undefined): ForeignTensor {
  return new ForeignTensor(`a dtype that this engine does not support (${describePickled(dtype)})`);
}

/** Builds a parameter from (data, requires_grad, hooks). */
function rebuildParameter([data, requiresGrad]: readonly PickleValue[], fail: Fail): Opaque {
  if (data instanceof ForeignTensor) return data;
  if (data instanceof TorchTensor)
    return new TorchTensor(data.layout, { isParameter: true, requiresGrad: requiresGrad === true });
  return fail(`a parameter: expected a tensor, got ${describePickled(data)}`);
}

/** Makes an empty dict, because a pickle adds the items after the call. Only Python 2 wrote the items as an argument. */
function emptyDict(args: readonly PickleValue[], fail: Fail): PickleValue {
  if (args.length > 0) fail("data.pkl makes an OrderedDict from arguments, which torch.save does not do", CONVERT);
  return new Map();
}
