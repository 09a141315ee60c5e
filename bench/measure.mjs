// One model: the fastest way to use each peer, then training steps, memory, and what maps and guidance add to a step.
import { join } from "node:path";
import { startOurs, startPeer } from "./peer.mjs";
import { GUIDED, LOOPS, MODELS, PLAIN, peerKinds } from "./plan.mjs";
import { inTurn, milliseconds, overPlain, quietOf, sideRatio } from "./rounds.mjs";

const SWEPT = { warmup: 2, steps: 4 };

/** @param context {python, folder, threads, rounds, steps, patience, say} */
export async function measureModel(name, context) {
  const { layers, request, capable } = await prepare(name, context);
  const peers = await fastest(request, { ...context, bfloat16: capable.fastBfloat16 });
  const ours = await startOurs();
  const sides = { ours, ...Object.fromEntries(peers.map(({ kind, side }) => [kind, side])) };
  const own = capable.fastBfloat16 ? "bfloat16, channels last" : "float32";
  const configs = { ours: own, ...Object.fromEntries(peers.map(({ kind, config }) => [kind, config])) };
  const asking = { sides, configs, request };
  try {
    const plain = await plainSteps(asking, context);
    for (const { kind, side } of peers) if (kind !== "eager") await side.stop();
    const guided = await guidedSteps(asking, { ...context, layers });
    const loops = await otherMaps(asking, context);
    const versions = { libtorch: capable.libtorch, torch: sides.eager.hello.torch };
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

const without = ({ side: _, ...rest }) => rest;

/** The file that all sides start from. */
async function prepare(name, { folder, threads, steps }) {
  const state = join(folder, `${name}.safetensors`);
  const maker = await startOurs();
  const { layers } = await maker.ask({ threads, make: { model: name, batch: MODELS[name].batch, state } });
  await maker.stop();
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

/** Of each kind of peer the configuration with the shortest step, still running. */
async function fastest(request, context) {
  const kinds = peerKinds({ bfloat16: context.bfloat16, linux: process.platform === "linux" });
  const found = [];
  for (const [kind, { configs, env, title, goal }] of Object.entries(kinds)) {
    const tried = {};
    let best;
    for (const config of configs) {
      const side = await startPeer(context.python, {
        TORCHINDUCTOR_CACHE_DIR: join(context.folder, "inductor"),
        ...env,
      });
      tried[config] = await sweep(side, { ...request, ...SWEPT, config }, context);
      context.say(`  ${title}, ${config}: ${tried[config].ms.toFixed(1)} ms${tried[config].busy ? ", BUSY" : ""}`);
      const better = best === undefined || tried[config].ms < tried[best.config].ms;
      await (better ? best?.side : side)?.stop();
      if (better) best = { config, side };
    }
    found.push({ kind, title, goal, ...best, tried });
  }
  return found;
}

/** The shortest step of a few, and what it took to get there. */
async function sweep(side, request, { patience }) {
  const { buildSeconds } = await side.ask({ ...request, steps: 0 });
  const [{ answers, busy }] = await inTurn({ side: () => side.ask(request) }, { rounds: 1, patience });
  const { seconds, peakRssMiB } = answers.side;
  const ms = 1000 * Math.min(...seconds[0]);
  return { ms, busy, firstStepSeconds: buildSeconds[0], peakMiB: peakRssMiB, loadedMiB: side.hello.peakRssMiB };
}

const blocksOf = (asking, changes, names = Object.keys(asking.sides)) =>
  Object.fromEntries(
    names.map((side) => [
      side,
      () => asking.sides[side].ask({ ...asking.request, ...changes, config: asking.configs[side] }),
    ]),
  );

async function plainSteps(asking, { rounds, patience, say }) {
  say("  training steps");
  const taken = await inTurn(blocksOf(asking, {}), { rounds, patience });
  const { used, ...quiet } = quietOf(taken);
  const last = taken.at(-1).answers;
  const rows = Object.entries(asking.sides).map(([side, { hello }]) => ({
    side,
    config: asking.configs[side],
    ms: milliseconds(used, side),
    ratio: sideRatio(used, "ours", side),
    firstLoss: last[side].firstLoss[0],
    memory: { peakMiB: last[side].peakRssMiB, loadedMiB: hello.peakRssMiB },
  }));
  return { ...quiet, others: taken.map(({ others }) => others), rows };
}

/** Every loss at the default layer; at the last layer, where that is another, the Prototype Loss by SSIM. */
async function guidedSteps(asking, { layers, ...context }) {
  const cases = [{ layer: layers.default, variants: [PLAIN, ...GUIDED] }];
  const last = { layer: layers.last, variants: [PLAIN, GUIDED.find(({ distance }) => distance === "ssim")] };
  if (layers.last !== layers.default) cases.push(last);
  const results = [];
  for (const { layer, variants } of cases) {
    context.say(`  guided steps, maps of ${layer}`);
    results.push({ layer, ...(await besidePlain(asking, { layer, variants }, context)) });
  }
  return results;
}

async function besidePlain(asking, { layer, variants }, { rounds, patience }) {
  const steps = Math.max(2, Math.round(asking.request.steps / 4));
  const blocks = blocksOf(asking, { layer, variants, steps }, ["ours", "eager"]);
  const { used, ...quiet } = quietOf(await inTurn(blocks, { rounds, patience }));
  const answers = used[0].answers;
  const of = (side, at) => ({
    ms: milliseconds(used, side, at),
    overPlain: overPlain(used, side, at),
    firstLoss: answers[side].firstLoss[at],
  });
  const rows = variants.map((variant, at) => ({
    ...variant,
    ours: of("ours", at),
    eager: of("eager", at),
    ratio: sideRatio(used, "ours", "eager", at),
  }));
  return { ...quiet, rows };
}

/** What other ways to maps add to PyTorch's own plain step. */
async function otherMaps(asking, { rounds, patience, say }) {
  say("  other ways to maps");
  const names = Object.keys(LOOPS);
  const variants = [PLAIN, ...names.map((objective) => ({ objective, distance: "ssim" }))];
  const blocks = blocksOf(asking, { variants, steps: 1 }, ["eager"]);
  const { used, ...quiet } = quietOf(await inTurn(blocks, { rounds: Math.min(3, rounds), patience }));
  const rows = names.map((objective, i) => ({
    objective,
    ms: milliseconds(used, "eager", i + 1),
    overPlain: overPlain(used, "eager", i + 1),
  }));
  return { ...quiet, rows };
}
