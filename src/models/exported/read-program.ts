import { reading, type TensorFile } from "../../io/internal.ts";
import { openProgramArchive, type ProgramArchive, readEntry } from "./archive.ts";
import { RECIPE } from "./foreign.ts";
import { graphOf } from "./graph.ts";
import { MAX_JSON_BYTES, parseJson } from "./parse-json.ts";
import type { Program } from "./program.ts";
import { tensorsOf } from "./program-tensors.ts";
import { checked, ProgramSchema, VersionSchema } from "./schema.ts";
import { signatureOf } from "./signature.ts";
import { payloadsOf } from "./weights.ts";

const DAMAGED = `the file is damaged or was not written by torch.export.save: copy it again, or export the model again (${RECIPE})`;
const OTHER_MAJOR =
  "export the model with a version of torch from 2.5 to 2.15, or read it with a newer version of this package";

/** The major versions of the schema that are read: 7 is that of torch 2.5, and 8 has been that of all later ones. */
const MAJORS: readonly number[] = [7, 8];

/**
 * Reads a program of torch.export (.pt2): its graph, its signature and its tensors. Everything is checked before tensors are
 * allocated; operators are not looked up. The caller frees the tensors.
 *
 * @param operation name of the operation in error messages
 * @throws E_DATA for a file that is damaged, of another format, or holds what is not supported, with the node, its module and
 *   what to do; E_IO if the operating system reports an error
 */
export function readProgram(path: string, operation = "loadExportedModel"): Promise<Program> {
  return reading({ operation, path, remedy: DAMAGED }, async (file) => {
    const archive = await openProgramArchive(file);
    const { torchVersion, json } = await programJson(archive);
    const { graph: graphJson, signature: signatureJson } = json.graph_module;
    const graph = graphOf(graphJson, file.fail);
    const signature = signatureOf(graphJson, signatureJson, file.fail);
    const payloads = await payloadsOf(archive);
    const tensors = await tensorsOf(signature.tensors, payloads, file);
    const { input, output, bufferUpdates } = signature;
    return { torchVersion, graph, input, output, tensors, bufferUpdates };
  });
}

async function programJson({ file, json: entry }: ProgramArchive) {
  if (entry.unpackedBytes > MAX_JSON_BYTES)
    file.fail(`expected ${entry.name} of at most ${MAX_JSON_BYTES} bytes, got ${entry.unpackedBytes}`);
  const json = parseJson(await readEntry(file, entry), entry.name, file.fail);
  const failHere = (problem: string): never => file.fail(`${entry.name}: ${problem}`);
  const { schema_version: version, torch_version: torchVersion } = checked(VersionSchema, json, failHere);
  if (!MAJORS.includes(version.major)) refuseVersion(version, torchVersion, file);
  return { torchVersion, json: checked(ProgramSchema, json, failHere) };
}

function refuseVersion(
  { major, minor }: { major: number; minor: number },
  torchVersion: string,
  { fail }: TensorFile,
): never {
  const got = `${major}.${minor} of torch ${torchVersion.slice(0, 40)}`;
  return fail(`expected version ${MAJORS.join(" or ")} of the schema of torch.export, got ${got}`, OTHER_MAJOR);
}
