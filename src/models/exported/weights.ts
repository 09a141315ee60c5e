import {
  fileOfBytes,
  partOfFile,
  readFully,
  readPickledTensors,
  type TensorFile,
  type ZipEntry,
} from "../../io/internal.ts";
import { DTYPES } from "../../tensor/internal.ts";
import { type ProgramArchive, readEntry } from "./archive.ts";
import { dtypeName, dtypeOfFile, layoutName, STRIDED } from "./enumerations.ts";
import { MAX_JSON_BYTES, parseJson } from "./parse-json.ts";
import { checked, PayloadSchema, type SymInt, type TensorMeta } from "./schema.ts";
import { entryStorage, type Storage, type StoredTensor } from "./storages.ts";

/** A tensor, or the reason why it cannot be read. It is an error only if the program needs it. */
export type Payload = StoredTensor | { readonly problem: string; readonly isMissing?: boolean };

export interface Payloads {
  /** The state dict of the model. */
  readonly weights: ReadonlyMap<string, Payload>;
  /** Constants, and buffers that state_dict does not have. */
  readonly constants: ReadonlyMap<string, Payload>;
}

/**
 * Finds the tensors of a program, in each of the three ways in which torch has stored them: pickles in a flat zip (2.5 to
 * 2.7), pickles in the .pt2 layout (2.8), and the raw bytes of storages with a list in JSON (since 2.9).
 */
export async function payloadsOf(archive: ProgramArchive): Promise<Payloads> {
  const { name } = archive;
  const folders = { weights: "data/weights", constants: "data/constants" };
  const found = (kind: "weights" | "constants") => {
    if (name === null)
      return pickled(archive, kind === "weights" ? "serialized_state_dict.pt" : "serialized_constants.pt");
    const folder = folders[kind];
    if (archive.entries.has(`${folder}/${name}.pt`)) return pickled(archive, `${folder}/${name}.pt`);
    return raw(archive, folder, configOf(archive, folder, name));
  };
  return { weights: await found("weights"), constants: await found("constants") };
}

/** The list of tensors has had several names: `model_weights_config.json`, `model_model_param_config.json`. */
function configOf({ entries, file }: ProgramArchive, folder: string, name: string): ZipEntry {
  const kind = folder === "data/weights" ? ["weights", "model_param"] : ["constants", "model_constants"];
  const names = kind.map((each) => `${folder}/${name}_${each}_config.json`);
  const found = names.map((each) => entries.get(each)).find((entry) => entry !== undefined);
  return found ?? file.fail(`expected an entry ${names[0]} (or ${folder}/${name}.pt), got none`);
}

async function raw({ file, entries }: ProgramArchive, folder: string, config: ZipEntry): Promise<Map<string, Payload>> {
  if (config.unpackedBytes > MAX_JSON_BYTES)
    file.fail(`expected ${config.name} of at most ${MAX_JSON_BYTES} bytes, got ${config.unpackedBytes}`);
  const json = parseJson(await readEntry(file, config), config.name, file.fail);
  const rows = checked(PayloadSchema, json, (problem) => file.fail(`${config.name}: ${problem}`));
  const storages = new Map<string, Storage>();
  const payloads = new Map<string, Payload>();
  for (const [name, row] of Object.entries(rows.config)) {
    const path = `${folder}/${row.path_name}`;
    const entry = entries.get(path);
    const meta = row.tensor_meta;
    if (row.use_pickle) payloads.set(name, { problem: SUBCLASS });
    else if (entry === undefined || !meta)
      payloads.set(name, { problem: `has no data (${path.slice(0, 100)})`, isMissing: true });
    else {
      const storage = storages.get(path) ?? entryStorage(file, entry);
      storages.set(path, storage);
      payloads.set(name, storedOf(meta, storage, row.is_param));
    }
  }
  return payloads;
}

const SUBCLASS = "is an object of a class of its own (a tensor subclass or a custom object)";

function storedOf(meta: TensorMeta, storage: Storage, isParameter: boolean): Payload {
  const dtype = dtypeOfFile(meta.dtype);
  if (dtype === undefined)
    return { problem: `has the dtype ${dtypeName(meta.dtype)}, which this engine does not support` };
  if (meta.layout !== STRIDED)
    return { problem: `has the layout ${layoutName(meta.layout)}; only dense tensors are supported` };
  const [shape, strides] = [meta.sizes, meta.strides].map((list) => list.map(fixed)) as [number[], number[]];
  const offset = fixed(meta.storage_offset);
  return { storage, dtype, shape, strides, offset, isParameter, requiresGrad: meta.requires_grad };
}

/** NaN for a size that is not a number, which later checks refuse. */
const fixed = ({ as_int: value }: SymInt): number => value ?? Number.NaN;

/** Reads a dict of tensors that torch.save wrote into an entry of the archive. */
async function pickled({ file, entries }: ProgramArchive, name: string): Promise<Map<string, Payload>> {
  const entry = entries.get(name);
  if (entry === undefined) return file.fail(`expected an entry ${name}, got none`);
  const inner = await fileIn(file, entry);
  const storages = new Map<number, Storage>();
  const payloads = new Map<string, Payload>();
  for (const [key, value] of await readPickledTensors(inner)) {
    if ("problem" in value) payloads.set(key, value);
    else {
      const { layout, isParameter, requiresGrad } = value;
      const { position, bytes } = layout.storage;
      const storage = storages.get(position) ?? partStorage(inner, { position, bytes, what: `a storage of ${name}` });
      storages.set(position, storage);
      const { dtype, shape, strides } = layout;
      const offset = (layout.position - position) / DTYPES[dtype].bytes;
      payloads.set(key, { storage, dtype, shape, strides, offset, isParameter, requiresGrad });
    }
  }
  return payloads;
}

/** Limit on a pickle that is compressed, because it is unpacked into memory as a whole. */
const MOST_UNPACKED = (fileBytes: number) => 64 * 2 ** 20 + 16 * fileBytes;

/** An entry as a file of its own. Errors name the entry, and the whole file with its remedy. */
async function fileIn(file: TensorFile, entry: ZipEntry): Promise<TensorFile> {
  const fail = (problem: string): never => file.fail(`entry ${JSON.stringify(entry.name)}: ${problem}`);
  if (entry.method === "stored") return partOfFile(file, entry.position, entry.bytes, fail);
  if (entry.unpackedBytes > MOST_UNPACKED(file.size))
    fail(`expected at most ${MOST_UNPACKED(file.size)} bytes after unpacking, got ${entry.unpackedBytes}`);
  return fileOfBytes(await readEntry(file, entry), fail);
}

const PIECE_BYTES = 2 ** 20;

function partStorage(
  file: TensorFile,
  { position, bytes, what }: { position: number; bytes: number; what: string },
): Storage {
  async function* read() {
    for (let offset = 0; offset < bytes; offset += PIECE_BYTES) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, bytes - offset));
      await readFully(file, piece, position + offset);
      yield piece;
    }
  }
  return { what, bytes, read };
}
