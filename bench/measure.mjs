// Measures one model: the fastest configuration of each peer, then training steps, memory, and the cost of maps and guidance.
import { join } from "node:path";
import { startOurs, startPeer } from "./peer.mjs";
import { GUIDED, LOOPS, MODELS, PLAIN, peerKinds } from "./plan.mjs";
import { inTurn, milliseconds, overPlain, quietOf, sideRatio } from "./rounds.mjs";

/** @import { Asking, Context, Layers, ModelKey, ModelResult, Peer, Request, RunningPeer, Side, Tried, Variant } from "./types.d.ts" */

const SWEPT = { warmup: 2, steps: 4 };

/**
 * @param {Context} context
 * @param {ModelKey} name
 * @returns {Promise<ModelResult>}
 */
export async function measureModel(name, context) {
  const { layers, request, capable } = await prepare(name, context);
  const peers = await fastest(request, { ...context, bfloat16: capable.fastBfloat16 });
  const ours = await startOurs();
  /** @type {Record<string, Side>} */
  const sides = { ours, ...Object.fromEntries(peers.map(({ kind, side }) => [kind, side])) };
  const own = capable.fastBfloat16 ? "bfloat16, channels last" : "float32";
  const configs = { ours: own, ...Object.fromEntries(peers.map(({ kind, config }) => [kind, config])) };
  const asking = { sides, configs, request };
  try {
    const plain = await plainSteps(asking, context);
    for (const { kind, side } of peers) if (kind !== "eager") await side.stop();
    const guided = await guidedSteps(asking, { ...context, layers });
    const loops = await otherMaps(asking, context);
    const versions = { libtorch: capable.libtorch, torch: sides.eager?.hello.torch ?? "none" };
    return {
      model: name,
      batch: MODELS[name].batch,
      layers,
      versions,
      peers: peers.map(without),
      plain,
      guided,
      loops,
    };
  } finally {
    await Promise.all(Object.values(sides).map((side) => side.stop()));
  }
}

/**
 * @param {RunningPeer} peer
 * @returns {Peer}
 */
const without = ({ side: _, ...rest }) => rest;

/**
 * Makes the file that all sides start from.
 *
 * @param {ModelKey} name
 * @param {Context} context
 */
async function prepare(name, { folder, threads, steps }) {
  const state = join(folder, `${name}.safetensors`);
  const maker = await startOurs();
  const { layers } = await maker.make({ threads, make: { model: name, batch: MODELS[name].batch, state } });
  await maker.stop();
  /** @type {Request} */
  const request = {
    model: name,
    layer: layers.default,
    state,
    threads,
    warmup: 1,
    steps: steps ?? MODELS[name].steps,
    variants: [PLAIN],
  };
  return { layers, request, capable: maker.hello };
}

/**
 * For each kind of peer, finds the configuration with the shortest step and keeps it running.
 *
 * @param {Request} request
 * @param {Context & { bfloat16: boolean }} context
 * @returns {Promise<RunningPeer[]>}
 */
async function fastest(request, context) {
  const kinds = peerKinds({ bfloat16: context.bfloat16, linux: process.platform === "linux" });
  /** @type {RunningPeer[]} */
  const found = [];
  for (const [kind, { configs, env, title, goal }] of Object.entries(kinds)) {
    /** @type {Record<string, Tried>} */
    const tried = {};
    /** @type {{ config: string, side: Side, ms: number } | undefined} */
    let best;
    for (const config of configs) {
      const side = await startPeer(context.python, {
        TORCHINDUCTOR_CACHE_DIR: join(context.folder, "inductor"),
        ...env,
      });
      const swept = await sweep(side, { ...request, ...SWEPT, config }, context);
      tried[config] = swept;
      context.say(`  ${title}, ${config}: ${swept.ms.toFixed(1)} ms${swept.busy ? ", BUSY" : ""}`);
      const better = best === undefined || swept.ms < best.ms;
      await (better ? best?.side : side)?.stop();
      if (better) best = { config, side, ms: swept.ms };
    }
    if (best === undefined) throw new Error(`${title} has no configuration`);
    found.push({ kind, title, goal, config: best.config, side: best.side, tried });
  }
  return found;
}

/**
 * The shortest step of a few, with the time it took to build it.
 *
 * @param {Side} side
 * @param {Request} request
 * @param {Pick<Context, "patience">} context
 * @returns {Promise<Tried>}
 */
async function sweep(side, request, { patience }) {
  const { buildSeconds } = await side.ask({ ...request, steps: 0 });
  const [round] = await inTurn({ side: () => side.ask(request) }, { rounds: 1, patience });
  const answer = round?.answers.side;
  if (round === undefined || answer === undefined) throw new Error("a round of the sweep has no answer");
  const { seconds, peakRssMiB } = answer;
  const { busy } = round;
  const ms = 1000 * Math.min(...(seconds[0] ?? []));
  return {
    ms,
    busy,
    firstStepSeconds: buildSeconds[0] ?? Number.NaN,
    peakMiB: peakRssMiB,
    loadedMiB: side.hello.peakRssMiB,
  };
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
 * @param {Context} context
 * @returns {Promise<ModelResult["plain"]>}
 */
async function plainSteps(asking, { rounds, patience, say }) {
  say("  training steps");
  const taken = await inTurn(blocksOf(asking, {}), { rounds, patience });
  const { used, ...quiet } = quietOf(taken);
  const last = taken.at(-1)?.answers ?? {};
  const rows = Object.entries(asking.sides).map(([side, { hello }]) => ({
    side,
    config: asking.configs[side] ?? "",
    ms: milliseconds(used, side),
    ratio: sideRatio(used, "ours", side),
    firstLoss: last[side]?.firstLoss[0] ?? Number.NaN,
    memory: { peakMiB: last[side]?.peakRssMiB ?? Number.NaN, loadedMiB: hello.peakRssMiB },
  }));
  return { ...quiet, others: taken.map(({ others }) => others), rows };
}

/**
 * Measures every loss at the default layer, and the Prototype Loss with SSIM at the last layer if that is another one.
 *
 * @param {Asking} asking
 * @param {Context & { layers: Layers }} context
 * @returns {Promise<ModelResult["guided"]>}
 */
async function guidedSteps(asking, { layers, ...context }) {
  const cases = [{ layer: layers.default, variants: [PLAIN, ...GUIDED] }];
  const last = {
    layer: layers.last,
    variants: [PLAIN, ...GUIDED.filter(({ distance }) => distance === "ssim").slice(0, 1)],
  };
  if (layers.last !== layers.default) cases.push(last);
  const results = [];
  for (const { layer, variants } of cases) {
    context.say(`  guided steps, maps of ${layer}`);
    results.push({ layer, ...(await besidePlain(asking, { layer, variants }, context)) });
  }
  return results;
}

/**
 * @param {Asking} asking
 * @param {{ layer: string, variants: Variant[] }} step
 * @param {Context} context
 */
async function besidePlain(asking, { layer, variants }, { rounds, patience }) {
  const steps = Math.max(2, Math.round(asking.request.steps / 4));
  const blocks = blocksOf(asking, { layer, variants, steps }, ["ours", "eager"]);
  const { used, ...quiet } = quietOf(await inTurn(blocks, { rounds, patience }));
  const answers = used[0]?.answers ?? {};
  /**
   * @param {string} side
   * @param {number} at
   */
  const of = (side, at) => ({
    ms: milliseconds(used, side, at),
    overPlain: overPlain(used, side, at),
    firstLoss: answers[side]?.firstLoss[at] ?? Number.NaN,
  });
  const rows = variants.map((variant, at) => ({
    ...variant,
    ours: of("ours", at),
    eager: of("eager", at),
    ratio: sideRatio(used, "ours", "eager", at),
  }));
  return { ...quiet, rows };
}

/**
 * Measures what other ways to compute maps add to PyTorch's own plain step.
 *
 * @param {Asking} asking
 * @param {Context} context
 * @returns {Promise<ModelResult["loops"]>}
 */
async function otherMaps(asking, { rounds, patience, say }) {
  say("  other ways to maps");
  const names = Object.keys(LOOPS);
  /** @type {Variant[]} */
  const variants = [PLAIN, ...names.map((objective) => ({ ...PLAIN, objective }))];
  const blocks = blocksOf(asking, { variants, steps: 1 }, ["eager"]);
  const { used, ...quiet } = quietOf(await inTurn(blocks, { rounds: Math.min(3, rounds), patience }));
  const rows = names.map((objective, i) => ({
    objective,
    ms: milliseconds(used, "eager", i + 1),
    overPlain: overPlain(used, "eager", i + 1),
  }));
  return { ...quiet, rows };
}
