import { counted } from "../counted.ts";
import { CONVERT } from "./foreign-formats.ts";
import type { UnpicklerOptions } from "./pickle-machine.ts";
import { PickleReader } from "./pickle-reader.ts";
import { Callable, ForeignName, ForeignObject, mayNameData, type PickleValue, Tuple } from "./pickle-value.ts";
import { quote } from "./safetensors-json.ts";
import { readFully, type TensorFile } from "./tensor-file.ts";
import type { ArchiveRecord } from "./torch-archive.ts";
import { StorageType, torchGlobals } from "./torch-globals.ts";
import { unpickleNext } from "./unpickler.ts";

/** The first bytes of a file that torch.save wrote before 1.6: a pickle of the number 0x1950a86a20f9469cfc6c. */
const MAGIC = Buffer.from("80028a0a6cfc9c46f9206aa850192e", "hex");

export function isLegacyTorch(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, MAGIC.length)).equals(MAGIC);
}

/**
 * Reads the value of a file that torch.save wrote before torch 1.6, or later with
 * `_use_new_zipfile_serialization=False`. Such a file contains pickles of the magic number, the protocol, the system
 * and the value, then a pickle of the keys of the storages, and each storage as its number of elements (int64) and its
 * bytes. The value refers to storages whose positions are only known later, so its pickle is interpreted twice: first
 * to find its end and the types of the storages, then with their positions.
 *
 * Source: torch/serialization.py (`_legacy_save`, `_legacy_load`) of PyTorch 2.11.
 */
export async function readLegacyPickle(file: TensorFile, mostBytes: number): Promise<PickleValue> {
  const bytes = new Uint8Array(Math.min(file.size, mostBytes));
  await readFully(file, bytes, 0);
  const reader = new PickleReader(bytes, file.fail);
  readPreamble(reader, file);
  const start = reader.position;
  const types = new Map<string, StorageType>();
  unpickleNext(reader, survey(types, file));
  const keys = unpickleNext(reader, plainData(file));
  const storages = await placeStorages(file, { keys, types, position: reader.position });
  reader.position = start;
  return unpickleNext(reader, { ...torchGlobals(storages, file.fail), fail: file.fail });
}

const plainData = ({ fail }: TensorFile): UnpicklerOptions => ({
  globals: new Map(),
  persistentLoad: () => fail("the list of storages has a key that is not a string"),
  fail,
});

function readPreamble(reader: PickleReader, file: TensorFile): void {
  const [, protocol, system] = [1, 2, 3].map(() => unpickleNext(reader, plainData(file)));
  if (protocol !== 1001) file.fail("expected the protocol 1001 of torch.save before 1.6, got another", CONVERT);
  const little = system instanceof Map ? system.get("little_endian") : undefined;
  if (little !== true) file.fail("expected numbers in little-endian order, got another", CONVERT);
}

/** Options of the first pass, in which tensors are placeholders and only the types of the storages are recorded. */
function survey(types: Map<string, StorageType>, { fail }: TensorFile): UnpicklerOptions {
  const { globals } = torchGlobals(new Map(), fail);
  const builders = new Set([...globals].flatMap(([name, value]) => (isBuilder(name, value) ? [name] : [])));
  return {
    globals: new Map([...globals].filter(([name]) => !builders.has(name))),
    isData: (module, name) => builders.has(`${module}.${name}`) || mayNameData(module, name),
    persistentLoad: (id) => {
      const [tag, type, key] = id instanceof Tuple ? id.items : [];
      if (tag === "storage" && type instanceof StorageType && typeof key === "string") types.set(key, type);
      if (tag === "module" && type instanceof ForeignName) return type;
      return new ForeignObject("torch.storage");
    },
    fail,
  };
}

function isBuilder(name: string, value: unknown): boolean {
  return value instanceof Callable && name.startsWith("torch.");
}

interface StorageList {
  /** The keys of the storages, in the order in which their bytes follow. */
  keys: PickleValue;
  types: ReadonlyMap<string, StorageType>;
  /** Byte offset of the first storage. */
  position: number;
}

/** Finds the position of each storage's bytes. The records have the names that they have in a zip archive. */
async function placeStorages(
  file: TensorFile,
  { keys, types, position }: StorageList,
): Promise<Map<string, ArchiveRecord>> {
  if (!Array.isArray(keys)) return file.fail("expected a list of the storages' keys after the value, got none");
  const records = new Map<string, ArchiveRecord>();
  const head = new Uint8Array(8);
  let at = position;
  for (const key of keys) {
    const type = typeof key === "string" ? types.get(key) : undefined;
    if (typeof key !== "string" || type === undefined)
      return file.fail("the list of storages has one that no tensor uses");
    if (type.bytes === undefined) return file.fail(`storage ${quote(key)} is of ${type.kind}, whose size is not known`);
    if (at + 8 > file.size)
      file.fail(`storage ${quote(key)}: expected it at ${at}, got the file's end at ${file.size}`);
    await readFully(file, head, at);
    const bytes = Number(new DataView(head.buffer).getBigInt64(0, true)) * type.bytes;
    if (!(bytes >= 0 && at + 8 + bytes <= file.size))
      file.fail(`storage ${quote(key)}: expected ${counted(bytes, "byte")} at ${at + 8}, got a file of ${file.size}`);
    records.set(`data/${key}`, { position: at + 8, bytes });
    at += 8 + bytes;
  }
  return records;
}
