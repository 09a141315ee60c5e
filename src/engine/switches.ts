import { BatchCamError } from "../errors.ts";
import { nearestName } from "../nearest-name.ts";

/** Levels of the package's own kernels, the lowest first: native/kernels/select.cc knows the same names. */
export const KERNEL_LEVELS = ["baseline", "avx2", "avx512", "tiles"] as const;
export type KernelLevel = (typeof KERNEL_LEVELS)[number];

/** Environment variables that the engine reads, and the values that each may have; empty is as not set. */
const SWITCHES = {
  /** The highest level of kernels that may run. */
  BATCH_CAM_KERNELS: KERNEL_LEVELS,
  /** What `amp: "auto"` and `channelsLast: "auto"` decide, instead of what the processor's features say. */
  BATCH_CAM_BFLOAT16: ["auto", "on", "off"],
} as const;
type Switches = typeof SWITCHES;

/**
 * The value of an environment variable; undefined where it is not set.
 *
 * @throws E_CONFIG where it is none of the values that it may have
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

/** Refuses an environment in which one of the variables has a value that it may not have. */
export function expectSwitches(env: NodeJS.ProcessEnv = process.env): void {
  for (const name of Object.keys(SWITCHES) as (keyof Switches)[]) switchValue(name, env);
}
