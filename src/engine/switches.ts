import { BatchCamError } from "../errors.ts";
import { nearestName } from "../nearest-name.ts";

/** Levels of the package's own kernels, lowest first. native/kernels/select.cc has the same names. */
export const KERNEL_LEVELS = ["baseline", "avx2", "avx512", "avx512bf16", "tiles"] as const;
export type KernelLevel = (typeof KERNEL_LEVELS)[number];

/** Environment variables that the engine reads, and the values of each. An empty variable counts as unset. */
const SWITCHES = {
  /** The highest level of kernels that may be used. */
  BATCH_CAM_KERNELS: KERNEL_LEVELS,
  /** Overrides the decision of `amp: "auto"` and `channelsLast: "auto"`, which otherwise follows the processor's features. */
  BATCH_CAM_BFLOAT16: ["auto", "on", "off"],
} as const;
type Switches = typeof SWITCHES;

/**
 * The value of an environment variable; undefined if it is not set.
 *
 * @throws E_CONFIG for a value that is not allowed
 */
export function switchValue<Name extends keyof Switches>(
  name: Name,
  env: NodeJS.ProcessEnv = process.env,
): Switches[Name][number] | undefined {
  const given = env[name];
  if (given === undefined || given === "") return undefined;
  const known: readonly string[] = SWITCHES[name];
  if (known.includes(given)) return given as Switches[Name][number];
  const nearest = nearestName(given, known);
  const hint = nearest === undefined ? "" : ` (did you mean "${nearest}"?)`;
  throw new BatchCamError(
    "E_CONFIG",
    `environment variable ${name}: expected one of ${known.join(", ")}, got ${JSON.stringify(given)}${hint}; set it to one of them or unset it`,
  );
}

/** Throws E_CONFIG if one of the environment variables has a value that is not allowed. */
export function expectSwitches(env: NodeJS.ProcessEnv = process.env): void {
  for (const name of Object.keys(SWITCHES) as (keyof Switches)[]) switchValue(name, env);
}
