import { run } from "./run-tests.mjs";

// Runs a convolution of a size for which libtorch uses oneDNN, so that oneDNN reports the instruction set it may use.
const PROGRAM = `
import { capabilities, conv2d, getNumThreads, noGrad, ones } from "batch-cam/tensor";
noGrad(() => conv2d(ones([4, 16, 32, 32]), ones([16, 16, 3, 3])).sum().item());
console.log("probe " + JSON.stringify({ ...capabilities(), threads: getNumThreads() }));
`;

/**
 * The levels that an environment really uses, as the engine reports them: capabilities(), the number of threads, and oneDNN's instruction
 * set.
 *
 * @param {{ root: string, env: NodeJS.ProcessEnv, node?: string }} options
 */
export async function probe({ root, env, node = process.execPath }) {
  const args = ["--input-type=module", "--eval", PROGRAM];
  const { code, output } = await run(node, args, { cwd: root, env: { ...env, ONEDNN_VERBOSE: "1" } });
  const found = /^probe (.*)$/m.exec(output)?.[1];
  if (found === undefined)
    throw new Error(`the engine does not run (exit ${code}): ${output.trim().split("\n").at(-1)}`);
  const oneDnn = /cpu,isa:(.*)$/m.exec(output)?.[1]?.trim() ?? "unknown";
  return { ...JSON.parse(found), oneDnn };
}
