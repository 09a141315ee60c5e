// Measures one network: the fastest configuration of each side, then training steps, memory, inference, and the cost of guidance.
import { join } from "node:path";
import { startOurs, startPeer } from "./peer.mjs";
import { GUIDED, INFERENCE, LOOPS, ourConfigs, PLAIN, PROTOTYPE_SSIM, peerKinds } from "./plan.mjs";
import { inTurn, milliseconds, overPlain, quietOf, sideRatio } from "./rounds.mjs";

/** @import { Asking, Context, Layers, Measured, NetworkSpec, Request, Row, RunningPeer, Side, Spread, Tried, Variant } from "./types.d.ts" */

const SWEPT = { warmup: 2, steps: 4 };

/**
 * The measurements of a network. `guided` lists the losses at the default layer; `others` adds other ways to maps, which take long.
 *
 * @typedef {{ tunedOnly?: boolean, inference?: boolean, guided?: Variant[], last?: boolean, others?: boolean }} Wanted
 */

/** All that the part "fixed" measures. @type {Wanted} */
export const EVERYTHING = { guided: GUIDED, last: true, others: true };
/** The measurements of the part "large". @type {Wanted} */
export const ESSENTIALS = { tunedOnly: true, inference: true, guided: [PROTOTYPE_SSIM] };

/**
 * @param {string} name of the case
 * @param {NetworkSpec} spec
 * @param {Wanted} wanted
 * @param {Context} context
 * @returns {Promise<Measured>}
 */
export async function measureNetwork(name, spec, wanted, context) {
  const { layers, request, capable } = await prepare(name, spec, context);
  const found = await fastestOfAll(request, { ...context, bfloat16: capable.fastBfloat16, ...wanted });
  const [ours, ...peers] = found;
  const sides = Object.fromEntries(found.map(({ kind, side }) => [kind, side]));
  const configs = Object.fromEntries(found.map(({ kind, config }) => [kind, config]));
  const asking = { sides, configs, request };
  /** @type {Measured} */
  const all = {
    rows: [],
    busy: false,
    versions: { libtorch: capable.libtorch, torch: peers[0]?.side.hello.torch ?? "none" },
  };
  const named = { add: collector(all, name), ...context };
  try {
    await plainSteps(asking, named);
    if (wanted.inference) await inference(asking, named);
    const eager = peers.find(({ kind }) => kind.startsWith("eager"));
    for (const { kind, side } of peers) if (kind !== eager?.kind) await side.stop();
    if (eager === undefined || ours === undefined) return all;
    const pair = { ...asking, eager: eager.kind };
    if (wanted.guided) await guidedSteps(pair, { layers, variants: wanted.guided, last: wanted.last === true }, named);
    if (wanted.others) await otherMaps(pair, named);
    return all;
  } finally {
    await Promise.all(found.map(({ side }) => side.stop()));
  }
}

/**
 * A function that adds a row to the results.
 *
 * @param {Measured} all
 * @param {string} name
 */
const collector =
  (all, name) =>
  (
    /** @type {string} */ measure,
    /** @type {Spread} */ value,
    /** @type {{ note?: string, busy?: boolean }} */ { note, busy = false } = {},
  ) => {
    all.rows.push({ case: name, measure, ...value, ...(note === undefined ? {} : { note }) });
    all.busy ||= busy;
  };

/** @typedef {Context & { add: ReturnType<typeof collector> }} Adding */

/**
 * Lets our side write the file that all sides start from, and makes a request for plain steps from it.
 *
 * @param {Awaited<ReturnType<typeof startOurs>>} side
 * @param {string} name
 * @param {{ spec: NetworkSpec, folder: string, threads: number, steps: number }} options
 */
export async function newRequest(side, name, { spec, folder, threads, steps }) {
  const state = join(folder, `${name.replace("/", "-")}.safetensors`);
  const { layers } = await side.make({ threads, make: { spec, state } });
  /** @type {Request} */
  const request = { spec, layer: layers.default, state, threads, warmup: 1, steps, variants: [PLAIN] };
  return { layers, request };
}

/**
 * Makes the file that all sides start from.
 *
 * @param {string} name
 * @param {NetworkSpec} spec
 * @param {Context} context
 */
async function prepare(name, spec, { folder, threads, steps = spec.steps }) {
  const maker = await startOurs();
  const made = await newRequest(maker, name, { spec, folder, threads, steps });
  await maker.stop();
  return { ...made, capable: maker.hello };
}

/**
 * The fastest configuration of our side and of each kind of peer, kept running; ours is the first.
 *
 * @param {Request} request
 * @param {Context & { bfloat16: boolean, tunedOnly?: boolean }} context
 */
async function fastestOfAll(request, context) {
  const { bfloat16, tunedOnly = false } = context;
  /** @type {RunningPeer[]} */
  const found = [];
  const ours = { title: "batch-cam", configs: ourConfigs({ bfloat16 }) };
  found.push({ kind: "ours", ...(await fastest(ours, startOurs, { request, context })) });
  for (const [kind, peer] of Object.entries(peerKinds({ bfloat16, linux: process.platform === "linux", tunedOnly }))) {
    const followed = found.find((other) => other.kind === peer.follows)?.config;
    const configs = followed === undefined ? peer.configs : [followed];
    const env = { TORCHINDUCTOR_CACHE_DIR: join(context.folder, "inductor"), ...peer.env };
    found.push({
      kind,
      ...(await fastest({ ...peer, configs }, () => startPeer(context.python, env), { request, context })),
    });
  }
  return found;
}

/**
 * Finds the configuration with the shortest step and keeps its process running.
 *
 * @param {{ title: string, configs: string[] }} kind
 * @param {() => Promise<Side>} start
 * @param {{ request: Request, context: Context }} work
 */
async function fastest({ title, configs }, start, { request, context }) {
  /** @type {{ config: string, side: Side, ms: number } | undefined} */
  let best;
  for (const config of configs) {
    const side = await start();
    const { ms, busy } = await sweep(
      side,
      { ...request, ...SWEPT, steps: Math.min(SWEPT.steps, request.steps), config },
      context,
    );
    context.say(`  ${title}, ${config}: ${ms.toFixed(1)} ms${busy ? ", BUSY" : ""}`);
    const better = best === undefined || ms < best.ms;
    await (better ? best?.side : side)?.stop();
    if (better) best = { config, side, ms };
  }
  if (best === undefined) throw new Error(`${title} has no configuration`);
  return { title, config: best.config, side: best.side };
}

/**
 * The shortest step of a few.
 *
 * @param {Side} side
 * @param {Request} request
 * @param {Pick<Context, "patience">} context
 * @returns {Promise<Tried>}
 */
async function sweep(side, request, { patience }) {
  await side.ask({ ...request, steps: 0 });
  const [round] = await inTurn({ side: () => side.ask(request) }, { rounds: 1, patience });
  const answer = round?.answers.side;
  if (round === undefined || answer === undefined) throw new Error("a round of the sweep has no answer");
  return { ms: 1000 * Math.min(...(answer.seconds[0] ?? [])), busy: round.busy };
}

/** @param {Asking} asking @param {string} name */
function sideOf({ sides }, name) {
  const side = sides[name];
  if (side === undefined) throw new Error(`no side is called ${name}`);
  return side;
}

/**
 * @param {Asking} asking
 * @param {Partial<Request>} changes
 */
const blocksOf = (asking, changes, names = Object.keys(asking.sides)) =>
  Object.fromEntries(
    names.map((side) => [
      side,
      () => sideOf(asking, side).ask({ ...asking.request, ...changes, config: asking.configs[side] ?? "" }),
    ]),
  );

/**
 * @param {Asking} asking
 * @param {Adding} context
 */
async function plainSteps(asking, { rounds, patience, say, add }) {
  say("  training steps");
  const taken = await inTurn(blocksOf(asking, {}), { rounds, patience });
  const { used, busy } = quietOf(taken);
  const last = taken.at(-1)?.answers ?? {};
  const memoryOf = (/** @type {string} */ side) => last[side]?.peakRssMiB ?? Number.NaN;
  for (const side of Object.keys(asking.sides)) {
    const about = { note: asking.configs[side] ?? "", busy };
    add(side === "ours" ? "ms" : `ms/${side}`, milliseconds(used, side), about);
    if (side !== "ours") add(side, sideRatio(used, "ours", side), about);
  }
  // All sides start from the same weights and images, so that their first losses differ only by rounding.
  const losses = Object.values(last).map(({ firstLoss: [first = Number.NaN] }) => first);
  add(
    "first losses/largest difference",
    constant(Math.max(...losses.map((loss) => Math.abs(loss / (losses[0] ?? 0) - 1)))),
  );
  const eager = Object.keys(asking.sides).find((side) => side === "eager");
  if (eager === undefined) return;
  const loaded = (/** @type {string} */ side) => memoryOf(side) - sideOf(asking, side).hello.peakRssMiB;
  add("memory", constant(memoryOf("ours") / memoryOf(eager)));
  add("memory/added", constant(loaded("ours") / loaded(eager)));
}

/** @param {number} value @returns {Spread} */
const constant = (value) => ({ median: value, low: value, high: value });

/**
 * @param {Asking} asking
 * @param {Adding} context
 */
async function inference(asking, { rounds, patience, say, add }) {
  say("  inference");
  const { used, busy } = quietOf(await inTurn(blocksOf(asking, { variants: [INFERENCE] }), { rounds, patience }));
  add("inference/ms", milliseconds(used, "ours"), { busy });
  for (const side of Object.keys(asking.sides))
    if (side !== "ours") add(`inference/${side}`, sideRatio(used, "ours", side), { busy });
}

/**
 * Measures losses at the default layer, and the Prototype Loss with SSIM at the last layer if that is another one.
 *
 * @param {Asking & { eager: string }} asking
 * @param {{ layers: Layers, variants: Variant[], last: boolean }} wanted
 * @param {Adding} context
 */
async function guidedSteps(asking, { layers, variants, last }, context) {
  const cases = [{ layer: layers.default, variants, suffix: "" }];
  if (last && layers.last !== layers.default)
    cases.push({ layer: layers.last, variants: [PROTOTYPE_SSIM], suffix: "/last layer" });
  for (const { layer, variants: own, suffix } of cases) {
    context.say(`  guided steps, maps of ${layer}`);
    await besidePlain(asking, { layer, variants: [PLAIN, ...own], suffix }, context);
  }
}

/**
 * @param {Asking & { eager: string }} asking
 * @param {{ layer: string, variants: Variant[], suffix: string }} step
 * @param {Adding} context
 */
async function besidePlain(asking, { layer, variants, suffix }, { rounds, patience, add }) {
  const steps = Math.max(2, Math.round(asking.request.steps / 4));
  const { eager } = asking;
  const blocks = blocksOf(asking, { layer, variants, steps }, ["ours", eager]);
  const { used, busy } = quietOf(await inTurn(blocks, { rounds, patience }));
  for (const [at, { objective, distance }] of variants.entries()) {
    if (objective === "plain") continue;
    const measure = `guided/${objective}/${distance}${suffix}`;
    add(measure, overPlain(used, "ours", at), { note: layer, busy });
    add(`PyTorch ${measure}`, overPlain(used, eager, at), { note: layer, busy });
    add(`${measure}/eager`, sideRatio(used, "ours", eager, at), { note: layer, busy });
  }
}

/**
 * Measures what other ways to compute maps add to PyTorch's own plain step.
 *
 * @param {Asking & { eager: string }} asking
 * @param {Adding} context
 */
async function otherMaps(asking, { rounds, patience, say, add }) {
  say("  other ways to maps");
  const names = Object.keys(LOOPS);
  /** @type {Variant[]} */
  const variants = [PLAIN, ...names.map((objective) => ({ ...PLAIN, objective }))];
  const blocks = blocksOf(asking, { variants, steps: 1 }, [asking.eager]);
  const { used, busy } = quietOf(await inTurn(blocks, { rounds: Math.min(2, rounds), patience }));
  for (const [i, objective] of names.entries())
    add(`PyTorch ${objective}`, overPlain(used, asking.eager, i + 1), { busy });
}
