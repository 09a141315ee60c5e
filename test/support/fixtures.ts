import { readFileSync } from "node:fs";
import { BatchCamError } from "../../src/errors.ts";
import { parseHeader } from "../../src/io/safetensors-header.ts";
import { writeBytes } from "../../src/io/tensor-file.ts";
import { empty, type Tensor } from "../../src/tensor/index.ts";
import type { AllcloseOptions, RelL2Options } from "./matchers.ts";

const FOLDER = new URL("../fixtures/", import.meta.url);

/** One entry of manifest.json or extra-manifest.json; see fixtures/README.md. */
export interface FixtureCase {
  name: string;
  file: string;
  checks: string;
  source: string;
  definition: string;
  // biome-ignore lint/suspicious/noExplicitAny: each case has different parameters.
  params: Record<string, any>;
  // biome-ignore lint/suspicious/noExplicitAny: most have rtol, atol, rel_l2 and abs_l2, and some have other keys.
  tolerance: Record<string, any>;
  nonfinite_tensors: string[];
  tensors: Record<string, string>;
}

export interface Fixture {
  readonly case: FixtureCase;
  readonly params: FixtureCase["params"];
  /** The tolerances under the names that the matchers use. */
  readonly tolerance: Required<Pick<AllcloseOptions, "rtol" | "atol">> & Required<RelL2Options>;
  /** A new tensor each time, in the file's dtype; the caller frees it. */
  tensor(path: string): Tensor;
  /** The float64 result if the case has one ("out64/y" for "out/y"), or else the float32 result. */
  reference(path: string): Tensor;
  has(path: string): boolean;
  /** The paths that start with a prefix, in the order of the manifest. */
  names(prefix?: string): string[];
}

interface Manifest {
  cases: FixtureCase[];
  seed: number;
  hash_test_vectors: Record<string, number[]>;
}
const manifestOf = (file: string) => JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")) as Manifest;
const manifest = manifestOf("manifest.json");
const cases = [...manifest.cases, ...manifestOf("extra-manifest.json").cases];

/** The seed from which `hashedState` makes weights, and the first values for some names. */
export const { seed: hashSeed, hash_test_vectors: hashVectors } = manifest;

/** One network of model_shapes.json: the library's state-dict names and shapes, in the library's order. */
export interface NetworkShapes {
  parameter_count: number;
  parameters: [string, number[]][];
  buffers: [string, number[]][];
}

/** The networks of model_shapes.json, for ten classes, by description. */
export function networkShapes(): Record<string, NetworkShapes> {
  return JSON.parse(readFileSync(new URL("model_shapes.json", FOLDER), "utf8")).models;
}

/** The names of the cases that start with a prefix. */
export function fixtureNames(prefix = ""): string[] {
  return cases.map(({ name }) => name).filter((name) => name.startsWith(prefix));
}

/** The reference values of one case of test/fixtures. */
export function fixture(name: string): Fixture {
  const found = cases.find((candidate) => candidate.name === name);
  if (found === undefined)
    throw new BatchCamError("E_ARGUMENT", `fixture: no case "${name}" in the manifests of test/fixtures`);
  const build = tensorsOf(found.file);
  const paths = Object.keys(found.tensors);
  const has = (path: string) => path in found.tensors;
  const { rtol = 0, atol = 0, rel_l2: relL2 = 0, abs_l2: absL2 = 0 } = found.tolerance;
  return {
    case: found,
    params: found.params,
    tolerance: { rtol, atol, relL2, absL2 },
    tensor: build,
    reference(path) {
      const wide = path.replace("/", "64/");
      return build(has(wide) ? wide : path);
    },
    has,
    names: (prefix = "") => paths.filter((path) => path.startsWith(prefix)),
  };
}

function tensorsOf(file: string): (path: string) => Tensor {
  const fail = (problem: string): never => {
    throw new BatchCamError("E_DATA", `fixture: test/fixtures/${file}: ${problem}`);
  };
  const bytes = readFileSync(new URL(file, FOLDER));
  const dataStart = 8 + Number(bytes.readBigUInt64LE());
  const { entries } = parseHeader(bytes.subarray(8, dataStart), bytes.length - dataStart, fail);
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  return (path) => {
    const { dtype, shape, begin, bytes: length } = byName.get(path) ?? fail(`no tensor "${path}"`);
    const tensor = empty(shape, { dtype });
    writeBytes(tensor, 0, bytes.subarray(dataStart + begin, dataStart + begin + length));
    return tensor;
  };
}
