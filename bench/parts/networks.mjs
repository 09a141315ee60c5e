// The parts "fixed" and "large": networks whose configuration the benchmark fixes, compared with PyTorch.
import { ESSENTIALS, EVERYTHING, measureNetwork } from "../measure.mjs";
import { NETWORKS, NETWORKS_OF } from "../plan.mjs";

/** @import { Context, Measured, NetworkKey } from "../types.d.ts" */

/** @param {Context} context */
export const fixed = (context) =>
  measureAll(context.quick ? ["simple-cnn"] : NETWORKS_OF.fixed, { ...EVERYTHING, others: !context.quick }, context);

/** @param {Context} context */
export const large = (context) =>
  // A step takes seconds, so that fewer rounds give as many steps.
  measureAll(context.quick ? ["resnet18-64"] : NETWORKS_OF.large, ESSENTIALS, {
    ...context,
    rounds: Math.min(3, context.rounds),
  });

/**
 * @param {NetworkKey[]} names
 * @param {import("../measure.mjs").Wanted} wanted
 * @param {Context} context
 * @returns {Promise<Measured>}
 */
async function measureAll(names, wanted, context) {
  /** @type {Measured} */
  const all = { rows: [], busy: false, versions: { libtorch: "none", torch: "none" } };
  for (const name of names.filter((own) => context.only === undefined || context.only.includes(own))) {
    context.say(name);
    const { rows, busy, versions } = await measureNetwork(name, NETWORKS[name], wanted, context);
    all.rows.push(...rows);
    all.busy ||= busy;
    all.versions = versions;
  }
  return all;
}
