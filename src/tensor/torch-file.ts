import { wrongArgument } from "../arguments.ts";
import { empty } from "./create.ts";
import { DTYPES } from "./dtype.ts";
import * as aten from "./generated/aten.ts";
import { describePickled, type PickleValue } from "./pickle-value.ts";
import { quote } from "./safetensors-json.ts";
import { Tensor } from "./tensor.ts";
import { type Fail, readFully, reading, type TensorFile, TensorFiller } from "./tensor-file.ts";
import { tidy } from "./tidy.ts";
import { openTorchArchive, type TorchArchive } from "./torch-archive.ts";
import { ForeignTensor, type TorchLayout, TorchTensor, torchGlobals } from "./torch-globals.ts";
import { CONVERT } from "./torch-remedies.ts";
import { unpickle } from "./unpickler.ts";

export interface LoadTorchOptions {
  /** Which entry of a checkpoint holds the tensors: "state_dict_ema", "model_state_dict" ... */
  key?: string;
}

/** Where a checkpoint's weights are, unless `key` says otherwise. */
const USUAL_KEYS = ["state_dict", "model"];

/** A state dict of 100,000 tensors has a pickle of about this size; it bounds the memory that a hostile one can claim. */
const MAX_PICKLE_BYTES = 32 * 2 ** 20;

/** Views that repeat elements may make more of a file than it holds, within this bound. */
const MOST_BYTES = (fileBytes: number) => 64 * 2 ** 20 + 16 * fileBytes;

const MOST_KEYS_SHOWN = 20;

/**
 * Reads the tensors of a state dict that torch.save wrote (`pytorch_model.bin`, `.pth`, `.pt`; torch 1.6 or newer), in the
 * dict's order. Each is contiguous, on the CPU, without gradient, and has memory of its own, even where the file's tensors
 * share a storage. Without `key` they are the file's own entries where all of those are tensors, else those of
 * "state_dict", else of "model". The caller frees them.
 *
 * The file's pickle is a program in Python's eyes. Here it is interpreted by a machine that can only build plain data:
 * see `unpickle`; nothing in the file is run, and memory is bounded by 16 times the file's size and some MiB.
 *
 * @throws E_DATA for a file that is damaged, that names what is not on the allow-list, that is a TorchScript archive or
 * older than torch 1.6, or without a dict of tensors at the key; E_IO where the operating system refuses.
 */
export async function loadTorchFile(path: string, { key }: LoadTorchOptions = {}): Promise<Map<string, Tensor>> {
  if (key !== undefined && typeof key !== "string") throw wrongArgument("loadTorchFile: key", "a string", key);
  const remedy = "the file is damaged or no file of torch.save: write or fetch it again";
  return reading({ operation: "loadTorchFile", path, remedy }, async (file) => {
    const archive = await openTorchArchive(file);
    const root = await readPickle(file, archive);
    const dict = selectDict(root, { key, fail: file.fail });
    return readTensors(tensorsOf(dict, file.fail), file);
  });
}

async function readPickle(file: TensorFile, archive: TorchArchive): Promise<PickleValue> {
  const record = archive.get("data.pkl") ?? file.fail("expected an entry data.pkl, got none");
  if (record.bytes > MAX_PICKLE_BYTES) {
    file.fail(`expected a data.pkl of at most ${MAX_PICKLE_BYTES} bytes, got ${record.bytes}`, CONVERT);
  }
  const bytes = new Uint8Array(record.bytes);
  await readFully(file, bytes, record.position);
  return unpickle(bytes, { ...torchGlobals(archive, file.fail), fail: file.fail });
}

type Dict = ReadonlyMap<PickleValue, PickleValue>;

function selectDict(root: PickleValue, { key, fail }: { key: string | undefined; fail: Fail }): Dict {
  if (!(root instanceof Map)) return fail(`expected a dict, got ${describePickled(root)}`, SAVE_DICT);
  if (key === undefined && [...root.values()].every(isTensor)) return root;
  const found = key ?? USUAL_KEYS.find((usual) => root.get(usual) instanceof Map);
  const dict = found === undefined ? undefined : root.get(found);
  if (dict instanceof Map) return dict;
  const where = key === undefined ? 'in the file, at "state_dict" or at "model"' : `at the key ${quote(key)}`;
  return fail(
    `expected a dict of tensors ${where}, got ${describeKeys(root)}`,
    "name the right entry by the option key",
  );
}

const SAVE_DICT = "save a state dict: torch.save(model.state_dict(), path)";

function describeKeys(dict: Dict): string {
  const shown = Array.from(dict)
    .slice(0, MOST_KEYS_SHOWN)
    .map(
      ([key, value]) => `${typeof key === "string" ? quote(key) : describePickled(key)} (${describePickled(value)})`,
    );
  const rest = dict.size > shown.length ? ` and ${dict.size - shown.length} more` : "";
  return dict.size === 0 ? "no keys" : `the keys ${shown.join(", ")}${rest}`;
}

function isTensor(value: PickleValue): value is TorchTensor | ForeignTensor {
  return value instanceof TorchTensor || value instanceof ForeignTensor;
}

function tensorsOf(dict: Dict, fail: Fail): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  for (const [name, value] of dict) {
    if (typeof name !== "string")
      return fail(`expected names that are strings, got ${describePickled(name)}`, SAVE_DICT);
    if (value instanceof ForeignTensor) fail(`tensor ${quote(name)} has ${value.problem}`, OTHER_DTYPE);
    if (!(value instanceof TorchTensor)) {
      return fail(`expected tensors, got ${describePickled(value)} at ${quote(name)}`, SAVE_DICT);
    }
    tensors.set(name, value);
  }
  return tensors;
}

const OTHER_DTYPE = `convert it in Python, for example by tensor.float(); this engine holds ${Object.keys(DTYPES).join(", ")}`;

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

/** Before anything is allocated: what is made, and what is read to make it. */
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
    const copy = tidy(
      () => new Tensor(aten.clone(new Tensor(aten.asStrided(stored, layout.shape, layout.strides)), 0)),
    );
    stored.dispose();
    return copy;
  } catch (error) {
    stored.dispose();
    throw error;
  }
}

/** Whether the elements lie in the file as they do in a new tensor; the stride of a dimension of 1 says nothing. */
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
