import { readFully, readZipDirectory, type TensorFile, unpackEntry, type ZipEntry } from "../../io/internal.ts";
import { refuseArchive, refuseFile } from "./foreign.ts";

/** A file of torch.export.save that has been recognised. Names of entries are without the archive's own folder. */
export interface ProgramArchive {
  readonly file: TensorFile;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** The entry with the program's JSON. */
  readonly json: ZipEntry;
  /** Name of the program in the archive ("model" if there is one); null for the flat layout of torch 2.7 and before. */
  readonly name: string | null;
}

/** The program in the flat layout of torch 2.5 to 2.7. */
const FLAT_PROGRAM = "serialized_exported_program.json";

/**
 * Recognises the layout of a .pt2 file and finds its program.
 *
 * Source: docs/source/export/pt2_archive.md and torch/export/pt2_archive/_package.py of PyTorch 2.15; torch/export/__init__.py
 * (`save`) of 2.7 for the flat layout.
 */
export async function openProgramArchive(file: TensorFile): Promise<ProgramArchive> {
  await expectZip(file);
  const all = await readZipDirectory(file);
  const names = all.map(({ name }) => name);
  expectPlainNames(names, file);
  const root = rootOf(names);
  if (root === undefined) return refuseArchive(names, file);
  const entries = new Map(
    all.filter(({ name }) => name.startsWith(root)).map((entry) => [entry.name.slice(root.length), entry]),
  );
  const flat = entries.get(FLAT_PROGRAM);
  if (flat !== undefined) return { file, entries, json: flat, name: null };
  const name = programOf(entries, file) ?? refuseArchive(names, file);
  await expectVersion(entries, file);
  return { file, entries, json: entries.get(`models/${name}.json`) as ZipEntry, name };
}

async function expectZip(file: TensorFile): Promise<void> {
  const head = Buffer.alloc(Math.min(4096, file.size));
  await readFully(file, head, 0);
  if (!["PK\x03\x04", "PK\x05\x06"].includes(head.toString("latin1", 0, 4))) refuseFile(head, file);
}

/** Refuses names that leave the archive's folder, and names that occur twice: torch writes neither. */
function expectPlainNames(names: readonly string[], { fail }: TensorFile): void {
  const seen = new Set<string>();
  for (const name of names) {
    const parts = name.split("/");
    if (name.startsWith("/") || /[\\\0]|^[A-Za-z]:/.test(name) || parts.includes(".."))
      fail(`the archive has the entry ${JSON.stringify(name.slice(0, 80))}, which lies outside of its folder`);
    if (seen.has(name)) fail(`the archive has the entry ${JSON.stringify(name.slice(0, 80))} twice`);
    seen.add(name);
  }
}

/** The folder that holds everything: torch names it by the file, and zip programs may add another. */
function rootOf(names: readonly string[]): string | undefined {
  const marker = [
    /^(.*\/)?serialized_exported_program\.json$/,
    /^(.*\/)?archive_format$/,
    /^(.*\/)?models\/[^/]+\.json$/,
  ];
  for (const pattern of marker) {
    const roots = names.flatMap((name) => {
      const match = pattern.exec(name);
      return match === null ? [] : [match[1] ?? ""];
    });
    if (roots.length > 0) return roots.reduce((best, root) => (root.length < best.length ? root : best));
  }
  return undefined;
}

async function expectVersion(entries: ReadonlyMap<string, ZipEntry>, file: TensorFile): Promise<void> {
  const expectations = [
    { entry: "archive_format", expected: "pt2", what: "the archive format" },
    { entry: "archive_version", expected: "0", what: "the archive version" },
    { entry: "byteorder", expected: "little", what: "the byte order" },
  ];
  for (const { entry, expected, what } of expectations) {
    const found = entries.get(entry);
    if (found === undefined) continue;
    const text = found.unpackedBytes > 64 ? "a longer text" : (await readEntry(file, found)).toString("latin1").trim();
    if (text === expected) continue;
    file.fail(`expected ${what} ${JSON.stringify(expected)}, got ${JSON.stringify(text)}`, NEWER_ARCHIVE);
  }
}

const NEWER_ARCHIVE =
  "export the model again with torch 2.15 or older, or read it with a newer version of this package";

function programOf(entries: ReadonlyMap<string, ZipEntry>, { fail }: TensorFile): string | undefined {
  const names = [...entries.keys()].flatMap((name) => /^models\/(.+)\.json$/.exec(name)?.[1] ?? []);
  if (names.length <= 1 || names.includes("model")) return names.includes("model") ? "model" : names[0];
  const list = names.slice(0, 10).join(", ");
  return fail(
    `it holds ${names.length} programs (${list}), and none is called "model"`,
    "save the one to be read in a file of its own: torch.export.save(program, path)",
  );
}

/** The whole data of an entry. The caller has compared its size with a limit. */
export async function readEntry(file: TensorFile, entry: ZipEntry): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of unpackEntry(file, entry)) pieces.push(piece);
  return Buffer.concat(pieces);
}
