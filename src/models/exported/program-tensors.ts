import type { TensorFile } from "../../io/internal.ts";
import { dtypeName, dtypeOfFile } from "./enumerations.ts";
import type { ProgramTensor } from "./program.ts";
import { shapeText, type TensorSpec } from "./signature.ts";
import { readStored, type StoredTensor } from "./storages.ts";
import type { Payload, Payloads } from "./weights.ts";

const EXPORT_DENSE =
  "turn it into an ordinary tensor of float32, float64, float16, bfloat16, bool or an integer dtype before the export (a quantized model: export the original)";

/**
 * Reads the tensors of a program, in the order of its signature. After them come the names of the state dict that no input
 * of the graph represents: parameters that are not used, and the other names of tied weights.
 */
export async function tensorsOf(
  specs: readonly TensorSpec[],
  { weights, constants }: Payloads,
  file: TensorFile,
): Promise<ProgramTensor[]> {
  const named = renamed(specs, weights);
  const inputs = named.map((spec) => ({ spec, stored: storedOf(spec, { weights, constants }, file) }));
  const claimed = new Set(named.map(({ name }) => name));
  const unused = [...weights].flatMap(([name, payload]) =>
    claimed.has(name) || "problem" in payload ? [] : [{ name, stored: payload }],
  );
  const described = new Map<string, StoredTensor>([
    ...inputs.map(({ spec, stored }) => [`input ${spec.value}`, stored] as const),
    ...unused.map(({ name, stored }) => [`name ${name}`, stored] as const),
  ]);
  const tensors = await readStored(described, file);
  const tensorOf = (key: string) => tensors.get(key) as ProgramTensor["tensor"];
  return [
    ...inputs.map(({ spec: { value, name, kind, persistent, meta }, stored }) => {
      const requiresGrad = kind === "parameter" && (stored.isParameter ? stored.requiresGrad : meta.requires_grad);
      return { value, name, kind, persistent, requiresGrad, tensor: tensorOf(`input ${value}`) };
    }),
    ...unused.map(({ name, stored: { isParameter, requiresGrad } }) => ({
      ...{ value: null, name, kind: isParameter ? ("parameter" as const) : ("buffer" as const), persistent: true },
      ...{ requiresGrad: isParameter && requiresGrad, tensor: tensorOf(`name ${name}`) },
    })),
  ];
}

/**
 * Gives each input of tied weights a name of its own: torch 2.6 lists one name of the state dict for all of them in its strict
 * mode.
 */
function renamed(specs: readonly TensorSpec[], weights: ReadonlyMap<string, Payload>): TensorSpec[] {
  const listed = new Set(specs.map(({ name }) => name));
  const free = [...weights.keys()].filter((name) => !listed.has(name));
  const taken = new Set<string>();
  return specs.map((spec) => {
    const stored = weights.get(spec.name);
    if (!taken.has(spec.name) || stored === undefined) {
      taken.add(spec.name);
      return spec;
    }
    const at = free.findIndex((name) => sameView(weights.get(name), stored));
    return at < 0 ? spec : { ...spec, name: free.splice(at, 1)[0] as string };
  });
}

function sameView(a: Payload | undefined, b: Payload): boolean {
  if (a === undefined || "problem" in a || "problem" in b) return false;
  return a.storage === b.storage && a.offset === b.offset && `${a.shape}|${a.strides}` === `${b.shape}|${b.strides}`;
}

function storedOf(spec: TensorSpec, { weights, constants }: Payloads, { fail }: TensorFile): StoredTensor {
  const { name, kind, persistent, meta } = spec;
  const what = `the ${kind} ${JSON.stringify(name.slice(0, 100))}`;
  const [first, second] = persistent ? [weights, constants] : [constants, weights];
  const payload = first.get(name) ?? second.get(name);
  if (payload === undefined) return fail(`${what} has no data in the file`);
  if ("problem" in payload) return fail(`${what} ${payload.problem}`, payload.isMissing ? undefined : EXPORT_DENSE);
  const sizes = `[${meta.sizes.map(({ as_int: size }) => size ?? "?").join(", ")}]`;
  if (dtypeOfFile(meta.dtype) !== payload.dtype || sizes !== `[${payload.shape.join(", ")}]`) {
    const expected = `${dtypeName(meta.dtype)} ${shapeText(meta)}`;
    return fail(
      `${what}: the graph expects ${expected}, and the file holds ${payload.dtype} [${payload.shape.join(", ")}]`,
    );
  }
  return payload;
}
