import { CONVERT, CONVERT_SCRIPT, foreignFormatOf } from "./foreign-formats.ts";
import { quote } from "./safetensors-json.ts";
import { readFully, type TensorFile } from "./tensor-file.ts";
import { readZipDirectory, type ZipEntry } from "./zip.ts";

/** The position of a record's bytes in the file. */
export interface ArchiveRecord {
  readonly position: number;
  readonly bytes: number;
}

/** The records of a file of torch.save, by name without the archive's folder: "data.pkl", "data/0", "version". */
export type TorchArchive = ReadonlyMap<string, ArchiveRecord>;

/**
 * Reads the directory of the zip archive that torch.save writes since torch 1.6. It has one folder with `data.pkl`, the
 * storages as `data/<key>`, `version`, and since 2.1 `byteorder`. The CRC-32 is not checked, because torch does not
 * check it either and can write files without it.
 *
 * Source: torch/serialization.py (`_save`) and caffe2/serialize/inline_container.cc of PyTorch 2.11.
 */
export async function openTorchArchive(file: TensorFile): Promise<TorchArchive> {
  await expectZip(file);
  const entries = await readZipDirectory(file);
  const folder = folderOf(entries, file);
  const records = new Map<string, ArchiveRecord>();
  for (const { name, position, bytes } of entries) {
    if (!name.startsWith(folder)) continue;
    const record = name.slice(folder.length);
    if (records.has(record)) file.fail(`the archive has the entry ${quote(name)} twice`);
    records.set(record, { position, bytes });
  }
  if (records.has("constants.pkl")) {
    file.fail("expected tensors saved by torch.save, got a TorchScript archive, which holds a program", CONVERT_SCRIPT);
  }
  expectStored(entries, file);
  await expectLittleEndian(file, records);
  return records;
}

async function expectZip(file: TensorFile): Promise<void> {
  const head = Buffer.alloc(Math.min(4096, file.size));
  await readFully(file, head, 0);
  if (head.toString("latin1", 0, 4) === "PK\x03\x04") return;
  const found = foreignFormatOf(head);
  const got = found === null ? "something else" : `something else: ${found.what}`;
  file.fail(`expected the zip archive of torch.save (torch 1.6 or newer), got ${got}`, found?.remedy);
}

/**
 * Refuses compressed entries. torch compresses only the code of TorchScript, and with compression a small file could
 * expand to fill the memory.
 */
function expectStored(entries: readonly ZipEntry[], { fail }: TensorFile): void {
  const other = entries.find(({ method }) => method !== "stored");
  if (other === undefined) return;
  fail(`entry ${quote(other.name)} is compressed or encrypted, expected it stored as torch.save does`, CONVERT);
}

function folderOf(entries: readonly ZipEntry[], { fail }: TensorFile): string {
  const folders = entries.flatMap(({ name }) => /^([^/]+\/)data\.pkl$/.exec(name)?.[1] ?? []);
  const [folder] = folders;
  if (folder === undefined) return fail("expected an entry <name>/data.pkl in the zip archive, got none");
  if (folders.length > 1) fail(`expected one entry <name>/data.pkl in the zip archive, got ${folders.length}`);
  return folder;
}

async function expectLittleEndian(file: TensorFile, records: TorchArchive): Promise<void> {
  const record = records.get("byteorder");
  if (record === undefined) return;
  const bytes = new Uint8Array(Math.min(record.bytes, 16));
  await readFully(file, bytes, record.position);
  const order = String.fromCharCode(...bytes);
  if (order !== "little") file.fail(`expected the byte order "little", got ${quote(order)}`, CONVERT);
}
