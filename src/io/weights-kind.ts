import { expectPath } from "../arguments.ts";
import { type ForeignFormat, foreignArchiveOf, foreignFormatOf } from "./foreign-formats.ts";
import { readFully, reading, type TensorFile } from "./tensor-file.ts";
import { isLegacyTorch } from "./torch-legacy.ts";
import { readZipDirectory } from "./zip.ts";

/** A format of weights that can be read. An index lists the files of weights that are divided into several files. */
export type WeightsKind = "safetensors" | "torch" | "index";

/** Number of bytes at the start of a file that are examined. */
const HEAD_BYTES = 4096;

/**
 * Recognises the format of a file of weights by its bytes; its name does not matter.
 *
 * @param operation name of the operation in error messages
 * @throws E_DATA for any other file, with what it is and a remedy; E_IO if the operating system reports an error
 */
export function weightsKindOf(path: string, operation: string): Promise<WeightsKind> {
  expectPath(`${operation}: path`, path);
  return reading({ operation, path, remedy: "it is damaged or truncated: download it again" }, async (file) => {
    const head = Buffer.alloc(Math.min(file.size, HEAD_BYTES));
    await readFully(file, head, 0);
    if (isZip(head)) return kindOfZip(file);
    if (isLegacyTorch(head)) return "torch";
    if (isSafetensors(head)) return "safetensors";
    if (isIndex(head)) return "index";
    return refuse(file, foreignFormatOf(head) ?? unknown(head, path));
  });
}

const EXPECTED = "give weights as safetensors, or as torch.save writes them";

/** Whether a file is a zip archive: it begins with its first entry or, if empty, with the end of its directory. */
const isZip = (head: Buffer): boolean => ["PK\x03\x04", "PK\x05\x06"].includes(head.toString("latin1", 0, 4));

async function kindOfZip(file: TensorFile): Promise<WeightsKind> {
  const entries = await readZipDirectory(file);
  const foreign = foreignArchiveOf(entries.map(({ name }) => name));
  return foreign === null ? "torch" : refuse(file, foreign);
}

/** Whether a file begins like safetensors: the length of the header, then its JSON. This is also true of a truncated file. */
function isSafetensors(head: Buffer): boolean {
  return head.length > 8 && head.readBigUInt64LE(0) < 2n ** 32n && head[8] === "{".charCodeAt(0);
}

const isIndex = (head: Buffer): boolean => /^\s*\{/.test(head.toString("latin1")) && head.includes('"weight_map"');

function unknown(head: Buffer, path: string): ForeignFormat {
  if (head.length === 0) return { what: "an empty file", remedy: "download it again" };
  if (/\.data-\d{5}-of-\d{5}$|\.ckpt\.index$/.test(path)) {
    const remedy = "convert the model to PyTorch, and save its state dict";
    return { what: "a part of a TensorFlow checkpoint, by its name", remedy };
  }
  const bytes = Array.from(head.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return { what: `a file of a format that is not known here (its first bytes are ${bytes})`, remedy: EXPECTED };
}

function refuse({ fail }: TensorFile, { what, remedy }: ForeignFormat): never {
  return fail(`expected weights as safetensors or of torch.save, got ${what}`, remedy);
}
