import { foreignArchiveOf, foreignFormatOf, isLegacyTorch, type TensorFile } from "../../io/internal.ts";

// The other kinds of files that users may give instead of a program of torch.export, with what to do about each.

/** The command that prints the Python which exports a model. */
export const RECIPE = "`npx batch-cam export-recipe` prints the Python for it";

const EXPORT_MODEL = `export the model itself with torch.export.save (${RECIPE})`;
const WEIGHTS =
  "weights alone do not say what the model computes: for a model of this package give them as weights (loadPretrained, --weights), " +
  `for any other, ${EXPORT_MODEL}`;

/** Refuses a file that is not a zip archive. */
export function refuseFile(head: Buffer, { size, fail }: TensorFile): never {
  if (size === 0) return fail("is empty (0 bytes)", "write or copy the file again");
  const isSafetensors = head.length > 8 && head.readBigUInt64LE(0) < 2n ** 32n && head[8] === "{".charCodeAt(0);
  if (isSafetensors) return fail("expected a program of torch.export, got weights (safetensors)", WEIGHTS);
  if (isLegacyTorch(head)) return fail("expected a program of torch.export, got weights of torch.save", WEIGHTS);
  if (head.toString("latin1", 4, 8).match(/^ET\d\d$/))
    return fail("expected a program of torch.export, got one of ExecuTorch (.pte)", COMPILED);
  const found = foreignFormatOf(head);
  return fail(`expected a program of torch.export (.pt2), got ${found?.what ?? "something else"}`, EXPORT_MODEL);
}

const COMPILED = `compiled code cannot be explained or trained: ${EXPORT_MODEL}`;

/** Refuses a zip archive without a program. */
export function refuseArchive(names: readonly string[], { fail }: TensorFile): never {
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name));
  const refuse = (what: string, remedy: string): never =>
    fail(`expected a program of torch.export (.pt2), got ${what}`, remedy);
  if (has(/(?:^|\/)data\/aotinductor\//)) return refuse("a package of AOTInductor", COMPILED);
  if (has(/(?:^|\/)data\/executorch\//)) return refuse("a package of ExecuTorch", COMPILED);
  if (has(/(?:^|\/)constants\.pkl$/)) return refuse("a TorchScript archive", `${TORCH_SCRIPT}: ${EXPORT_MODEL}`);
  if (has(/(?:^|\/)data\.pkl$/)) return refuse("weights or a pickled model of torch.save", WEIGHTS);
  const found = foreignArchiveOf(names);
  return refuse(found?.what ?? "another zip archive", EXPORT_MODEL);
}

const TORCH_SCRIPT = "TorchScript is another, older format of programs";
