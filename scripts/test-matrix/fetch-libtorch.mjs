import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { versionOf } from "../setup/libtorch.mjs";
import { cachedFolder, PINNED_VERSION } from "../setup/wheels.mjs";
import { run } from "./run-tests.mjs";

const LINUX_X64 = process.platform === "linux" && process.arch === "x64";

/** The newest release of the package torch that pip finds for this machine. */
export async function newestTorch() {
  const output = await pip(["index", "versions", "torch"], process.env);
  const version = /^torch \((\S+)\)/m.exec(output)?.[1];
  if (version === undefined)
    throw new Error(`pip does not report the newest torch: ${output.trim().split("\n").at(-1)}`);
  return version;
}

/**
 * Downloads a version of libtorch ("2.7.0", or "pinned" for the set-up's own) into a folder of the cache, unless it is there.
 * @returns {Promise<{ version: string, folder: string }>} `folder` is the value for LIBTORCH
 * @param {string} asked
 * @param {{ cache: string, say: (text: string) => void }} options
 */
export async function fetchTorch(asked, { cache, say }) {
  const own = cachedFolder(process.env);
  if ((asked === "pinned" || asked === PINNED_VERSION) && existsSync(own))
    return { version: versionOf(own) ?? asked, folder: own };
  const version = asked === "pinned" ? PINNED_VERSION : asked;
  const target = join(cache, `libtorch-${version}`);
  const folder = join(target, "torch");
  if (!existsSync(folder)) await fetchInto(target, version, say);
  return { version: versionOf(folder) ?? version, folder };
}

/**
 * @param {string} target
 * @param {string} version
 * @param {(text: string) => void} say
 */
async function fetchInto(target, version, say) {
  say(`fetching libtorch ${version} into ${target} ...`);
  const partial = `${target}.partial-${process.pid}`;
  // pip first unpacks into its temporary folder. It is put here, so that it is removed with the rest.
  const temporary = join(partial, "tmp");
  mkdirSync(temporary, { recursive: true });
  const env = { ...process.env, TMPDIR: temporary, PIP_USER: "0", PIP_REQUIRE_VIRTUALENV: "0" };
  /** @param {...string} args */
  const install = (...args) =>
    pip(["install", "--only-binary=:all:", "--no-compile", "--no-cache-dir", "--target", partial, ...args], env);
  try {
    await install("--no-deps", `torch==${version}`);
    const needed = LINUX_X64 ? cudaLibraries(partial, version) : [];
    if (needed.length > 0) await install(...needed);
    rmSync(temporary, { recursive: true });
    renameSync(partial, target);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/**
 * The packages without which the libtorch_cpu.so of the Linux x86-64 wheel does not load, even without a GPU: the CUDA runtime and CUPTI,
 * in the versions that the wheel requires. Wheels from about 2.12 on require them as parts of `cuda-toolkit`.
 *
 * @param {string} folder
 * @param {string} version
 */
function cudaLibraries(folder, version) {
  const info = readdirSync(folder).find((name) => name.startsWith(`torch-${version}`) && name.endsWith(".dist-info"));
  const metadata = readFileSync(join(folder, info ?? "", "METADATA"), "utf8");
  const single = [...metadata.matchAll(/^Requires-Dist: (nvidia-cuda-(?:runtime|cupti)[\w-]*==[\d.]+)/gm)].map(
    ([, name = ""]) => name,
  );
  const toolkit = /^Requires-Dist: cuda-toolkit\[[^\]]*\](==[\d.]+)/m.exec(metadata)?.[1];
  return single.length > 0 || toolkit === undefined ? single : [`cuda-toolkit[cudart,cupti]${toolkit}`];
}

/**
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
async function pip(args, env) {
  const { code, output } = await run("python3", ["-m", "pip", ...args, "--disable-pip-version-check"], { env });
  if (code !== 0) throw new Error(`pip ${args.slice(0, 2).join(" ")} failed: ${output.trim().split("\n").at(-1)}`);
  return output;
}
