// The part "defaults": steps of the trainer itself on MNIST, with nothing but `--model` given, plain and with each loss; and plain steps
// of the same network compared with PyTorch.
import { join } from "node:path";
import { measureNetwork } from "../measure.mjs";
import { startOurs } from "../peer.mjs";
import { GUIDED, NETWORKS, NETWORKS_OF, TRAINED } from "../plan.mjs";
import { inTurn, milliseconds, overPlain, quietOf } from "../rounds.mjs";

/** @import { TrainConfigInput } from "batch-cam/config" */
/** @import { Chosen, Context, Measured, NetworkSpec, Variant } from "../types.d.ts" */

/** Steps of a block: a multiple of `guideEvery`, and some seconds of each network. */
const STEPS = { "simple-cnn": 48, resnet18: 12, convnextv2_atto: 20 };

/** @param {Context} context @returns {Promise<Measured>} */
export async function defaults(context) {
  /** @type {Measured} */
  const all = { rows: [], busy: false, versions: { libtorch: "none", torch: "none" } };
  const names = context.quick ? TRAINED.slice(0, 1) : TRAINED;
  for (const name of names.filter((own) => context.only === undefined || context.only.includes(own))) {
    context.say(`${name} with the command line's defaults`);
    const chosen = await trainerSteps(name, all, context);
    const { imageSize: _, ...options } = chosen.modelOptions;
    /** @type {NetworkSpec} */
    const spec = {
      title: name,
      ...{ model: name, options, image: [1, 28, 28], batch: chosen.batch, steps: name === "simple-cnn" ? 16 : 4 },
    };
    if (isFixed(spec)) continue; // the part "fixed" compares this very network
    const compared = await measureNetwork(`${name}/default`, spec, { tunedOnly: true }, context);
    all.rows.push(...compared.rows.filter(({ measure }) => !measure.startsWith("memory")));
    all.busy ||= compared.busy;
    all.versions = compared.versions;
  }
  return all;
}

/** @param {NetworkSpec} spec */
const isFixed = ({ model, options, batch }) =>
  NETWORKS_OF.fixed.some((name) => {
    const fixed = NETWORKS[name];
    const same = JSON.stringify(fixed.options) === JSON.stringify(options);
    return fixed.model === model && fixed.batch === batch && same;
  });

/** A config with a loss's own usual weight. @param {Variant} variant @returns {TrainConfigInput} */
function configOf({ objective, distance }) {
  if (objective === "plain") return { plain: true };
  const weight = distance === "ssim" ? 0.5 : 2;
  return objective === "prototype" ? { distance } : { distance, lambdaPrototype: 0, lambdaBatch: weight };
}

/**
 * Blocks of plain and guided steps of the trainer in turn. Returns what the trainer chose for the network.
 *
 * @param {(typeof TRAINED)[number]} name
 * @param {Measured} all
 * @param {Context} context
 * @returns {Promise<Chosen>}
 */
async function trainerSteps(name, all, { threads, patience, rounds, quick, folder, steps = STEPS[name] }) {
  const side = await startOurs({ BATCH_CAM_CACHE: join(folder, "cache") });
  all.versions = { ...all.versions, libtorch: side.hello.libtorch };
  /** @type {Variant[]} */
  const variants = [{ objective: "plain", distance: "ssim" }, ...GUIDED];
  /** @type {Chosen | undefined} */
  let chosen;
  try {
    const block = async () => {
      const answers = [];
      for (const variant of variants) {
        const config = { model: name, ...configOf(variant) };
        const answer = await side.train({ threads, train: { config, steps } });
        chosen = answer.chosen;
        answers.push(answer);
      }
      const cpuSeconds = answers.reduce((sum, answer) => sum + answer.cpuSeconds, 0);
      const [last] = answers.slice(-1);
      if (last === undefined) throw new Error("no step was taken");
      return { ...last, cpuSeconds, seconds: answers.map(({ seconds: [own] }) => own ?? []) };
    };
    const { used, busy } = quietOf(
      await inTurn({ ours: block }, { rounds: quick ? 2 : Math.min(3, rounds), patience }),
    );
    if (chosen === undefined) throw new Error("no step was taken");
    const note = `${chosen.precision}, maps of ${chosen.mapSize.join("x")} from ${chosen.camLayer}`;
    all.busy ||= busy;
    const row = (/** @type {string} */ measure, /** @type {import("../types.d.ts").Spread} */ value) =>
      all.rows.push({ case: `${name}/default`, measure, ...value, note });
    row("trainer ms", milliseconds(used, "ours", 0));
    for (const [i, { objective, distance }] of variants.entries())
      if (i > 0) row(`guided/${objective}/${distance}`, overPlain(used, "ours", i));
    return chosen;
  } finally {
    await side.stop();
  }
}
