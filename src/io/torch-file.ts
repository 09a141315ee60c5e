import { optionsOf, wrongArgument } from "../arguments.ts";
import { empty, Tensor, tidy } from "../tensor/index.ts";
import { asStrided, clone, DTYPES } from "../tensor/internal.ts";
import { CONVERT, SAVE_STATE_DICT } from "./foreign-formats.ts";
import { describePickled, type PickleValue } from "./pickle-value.ts";
import { quote } from "./safetensors-json.ts";
import { type ChosenDict, chooseStateDict, isTensor } from "./state-dict-choice.ts";
import { type Fail, readFully, reading, type TensorFile, TensorFiller } from "./tensor-file.ts";
import { openTorchArchive } from "./torch-archive.ts";
import { ForeignTensor, type TorchLayout, TorchTensor, torchGlobals } from "./torch-globals.ts";
import { isLegacyTorch, readLegacyPickle } from "./torch-legacy.ts";
import { unpickle } from "./unpickler.ts";

export interface LoadTorchOptions {
  /** The entry of a checkpoint with the tensors, as keys joined by dots: "state_dict_ema", "ema.module" ... */
  key?: string;
}

/**
 * Limit on the size of the pickle, about that of a state dict of 100,000 tensors. It bounds the memory that a hostile
 * file can make the reader allocate.
 */
const MAX_PICKLE_BYTES = 32 * 2 ** 20;

/**
 * Limit on the size of the tensors. They may be larger than the file if they are views that repeat elements, but not
 * without bound.
 */
const MOST_BYTES = (fileBytes: number) => 64 * 2 ** 20 + 16 * fileBytes;

/**
 * Reads the tensors of a state dict that torch.save wrote (`pytorch_model.bin`, `.pth`, `.pt`, `.ckpt`), in the order
 * of the dict. Each tensor is contiguous, on the CPU, without gradient, and has its own memory, even if tensors in the
 * file share a storage. Without `key` the tensors are the top-level entries if all of these are tensors, otherwise
 * those under the first usual key that contains tensors: "state_dict", "model_state_dict", "model", ..., and last
 * averages such as "state_dict_ema". The caller disposes of the tensors.
 *
 * In Python the pickle in such a file is a program. Here it is interpreted by a machine that can only build plain data
 * (see `unpickle`), so no code in the file is run, and memory is bounded by about 16 times the size of the file.
 * Objects other than tensors (an argparse.Namespace, NumPy values, a Lightning module's hyperparameters) are ignored.
 *
 * @throws E_DATA for a file that is damaged, that names a function which could run a program, that is a TorchScript
 *   archive, or that has no dict of tensors at the key; E_IO if the operating system reports an error
 */
export async function loadTorchFile(path: string, options: LoadTorchOptions = {}): Promise<Map<string, Tensor>> {
  const { key } = optionsOf("loadTorchFile", options, ["key"]);
  const { tensors } = await readTorchFile(path, { key, operation: "loadTorchFile", keyOption: "the option key" });
  return tensors;
}

export interface ReadTorchOptions {
  key: string | undefined;
  /** Name of the operation in error messages. */
  operation: string;
  /** How error messages refer to the option that sets the key. */
  keyOption: string;
}

export interface TorchFileContent {
  tensors: Map<string, Tensor>;
  /** The path of keys to them, joined by dots; "" for the top level. */
  key: string;
  /** Other keys that contain weights too. */
  others: readonly string[];
  /** Names of the other entries of the dict, which are not tensors. */
  leftOut: readonly string[];
}

/** `loadTorchFile`, which also returns what was chosen from the file. */
export async function readTorchFile(
  path: string,
  { key, operation, keyOption }: ReadTorchOptions,
): Promise<TorchFileContent> {
  if (key !== undefined && typeof key !== "string") throw wrongArgument(`${operation}: key`, "a string", key);
  const remedy = "the file is damaged or not a file of torch.save: write or download it again";
  return reading({ operation, path, remedy }, async (file) => {
    const root = await readPickle(file);
    const chosen = chooseStateDict(root, { key, keyOption, fail: file.fail });
    const { tensors, leftOut } = tensorsOf(chosen, file.fail);
    return { tensors: await readTensors(tensors, file), key: chosen.key, others: chosen.others, leftOut };
  });
}

/** The value of a file of torch.save, with tensors whose values have not been read. */
export async function readPickle(file: TensorFile): Promise<PickleValue> {
  const head = new Uint8Array(Math.min(16, file.size));
  await readFully(file, head, 0);
  if (isLegacyTorch(head)) return readLegacyPickle(file, MAX_PICKLE_BYTES);
  const archive = await openTorchArchive(file);
  const record = archive.get("data.pkl") ?? file.fail("expected an entry data.pkl, got none");
  if (record.bytes > MAX_PICKLE_BYTES) {
    file.fail(`expected a data.pkl of at most ${MAX_PICKLE_BYTES} bytes, got ${record.bytes}`, CONVERT);
  }
  const bytes = new Uint8Array(record.bytes);
  await readFully(file, bytes, record.position);
  return unpickle(bytes, { ...torchGlobals(archive, file.fail), fail: file.fail });
}

interface DescribedTensors {
  tensors: Map<string, TorchTensor>;
  /** Names of the entries that are not tensors. */
  leftOut: string[];
}

function tensorsOf({ dict, prefix }: ChosenDict, fail: Fail): DescribedTensors {
  const tensors = new Map<string, TorchTensor>();
  const leftOut: string[] = [];
  const anyTensor = [...dict.values()].some(isTensor);
  for (const [name, value] of dict) {
    if (typeof name !== "string")
      return fail(`expected names that are strings, got ${describePickled(name)}`, SAVE_STATE_DICT);
    if (!name.startsWith(prefix)) continue;
    if (value instanceof ForeignTensor) fail(`tensor ${quote(name)} has ${value.problem}`, OTHER_DTYPE);
    if (value instanceof TorchTensor) tensors.set(name.slice(prefix.length), value);
    else if (anyTensor) leftOut.push(name);
    else return fail(`expected tensors, got ${describePickled(value)} at ${quote(name)}`, SAVE_STATE_DICT);
  }
  return { tensors, leftOut };
}

const OTHER_DTYPE = `convert it in Python, for example by tensor.float(); this engine supports ${Object.keys(DTYPES).join(", ")}`;

async function readTensors(
  described: ReadonlyMap<string, TorchTensor>,
  file: TensorFile,
): Promise<Map<string, Tensor>> {
  expectBounded(described, file);
  const tensors = new Map<string, Tensor>();
  const filler = new TensorFiller(file);
  try {
    for (const [name, tensor] of described) tensors.set(name, await readTensor(filler, name, tensor));
    return tensors;
  } catch (error) {
    for (const tensor of tensors.values()) tensor.dispose();
    throw error;
  }
}

/** Checks, before anything is allocated, the memory of the tensors and of the storage that is read for them. */
function expectBounded(described: ReadonlyMap<string, TorchTensor>, { size, fail }: TensorFile): void {
  let bytes = 0;
  for (const { layout } of described.values()) {
    bytes += Math.max(layout.numel, layout.extent) * DTYPES[layout.dtype].bytes;
  }
  if (bytes <= MOST_BYTES(size)) return;
  const problem = `expected tensors of at most ${MOST_BYTES(size)} bytes in a file of ${size}, got ${bytes}`;
  fail(`${problem}: its views repeat the same elements too often`, CONVERT);
}

async function readTensor(filler: TensorFiller, name: string, { layout }: TorchTensor): Promise<Tensor> {
  const inOrder = isContiguous(layout);
  const stored = empty(inOrder ? layout.shape : [layout.extent], { dtype: layout.dtype });
  try {
    await filler.fill(stored, { name, position: layout.position });
    if (inOrder) return stored;
    const copy = tidy(() => new Tensor(clone(new Tensor(asStrided(stored, layout.shape, layout.strides)), 0)));
    stored.dispose();
    return copy;
  } catch (error) {
    stored.dispose();
    throw error;
  }
}

/**
 * Whether the elements in the file have the order of a contiguous tensor. The stride of a dimension of size 1 does not
 * matter.
 */
function isContiguous({ shape, strides, numel }: TorchLayout): boolean {
  if (numel === 0) return true;
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i] as number;
    if (size !== 1 && strides[i] !== expected) return false;
    expected *= size;
  }
  return true;
}
