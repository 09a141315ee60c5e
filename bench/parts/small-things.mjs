// The part "small-things": validation compared with inference, a penalty on input gradients, a busy neighbour, the start of the command
// line, and the cost of calling an operator.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultCamLayer } from "batch-cam/models";
import { capabilities } from "batch-cam/tensor";
import { newRequest } from "../measure.mjs";
import { startOurs } from "../peer.mjs";
import { NETWORKS, ourConfigs, PLAIN } from "../plan.mjs";
import { inTurn, overPlain, quietOf } from "../rounds.mjs";
import { spread } from "../statistics.mjs";
import { validationOverInference } from "../validation.mjs";

/** @import { Answer, Context, Measured, NetworkKey, Request, Side } from "../types.d.ts" */

/** @type {NetworkKey[]} */
const NAMES = ["simple-cnn", "resnet18", "convnextv2_atto"];

/** @param {Context} context @returns {Promise<Measured>} */
export async function smallThings(context) {
  const { libtorch, torch } = { libtorch: capabilities().version, torch: "none" };
  /** @type {Measured} */
  const all = { rows: [], busy: false, versions: { libtorch, torch } };
  for (const name of context.quick ? NAMES.slice(0, 1) : NAMES) {
    context.say(`${name}: input gradient, validation`);
    await besideOurPlain(name, all, context);
    await validation(name, all, context);
  }
  context.say("start-up");
  await startUp(all, context);
  context.say("operators");
  dispatch(all, context);
  return all;
}

/**
 * @param {NetworkKey} name
 * @param {Context} context
 */
async function requestOf(name, { folder, threads }) {
  const side = await startOurs();
  const spec = NETWORKS[name];
  const { request } = await newRequest(side, name, { spec, folder, threads, steps: Math.ceil(spec.steps / 2) });
  const [config = "fp32"] = ourConfigs({ bfloat16: side.hello.fastBfloat16 });
  return { side, request: { ...request, config } };
}

/**
 * The penalty on input gradients, and the plain step while another process is busy.
 *
 * @param {NetworkKey} name
 * @param {Measured} all
 * @param {Context} context
 */
async function besideOurPlain(name, all, context) {
  const { side, request } = await requestOf(name, context);
  const { rounds, patience } = context;
  try {
    const variants = [PLAIN, { ...PLAIN, objective: "input-gradient" }];
    const block = { ours: () => side.ask({ ...request, variants }) };
    const { used, busy } = quietOf(await inTurn(block, { rounds: Math.min(3, rounds), patience }));
    all.busy ||= busy;
    all.rows.push({
      case: name,
      measure: "input-gradient/plain",
      ...overPlain(used, "ours", 1),
      note: request.config ?? "",
    });
    if (name === "simple-cnn") await busyNeighbour(side, request, all, context);
  } finally {
    await side.stop();
  }
}

/**
 * Times steps alone, and while another process is always busy, in turn.
 *
 * @param {Side} side
 * @param {Request} request
 * @param {Measured} all
 * @param {Context} context
 */
async function busyNeighbour(side, request, all, { rounds, patience, threads }) {
  const [alone, beside] = [[], []].map(() => /** @type {number[]} */ ([]));
  for (let round = 0; round < rounds; round++) {
    await patience.quiet();
    alone?.push(...secondsOf(await side.ask(request)));
    const neighbour = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
    beside?.push(...secondsOf(await side.ask(request)));
    neighbour.kill();
    await once(neighbour, "exit");
  }
  const usual = spread(alone ?? []).median;
  const ratio = spread((beside ?? []).map((seconds) => seconds / usual));
  all.rows.push({ case: "simple-cnn", measure: "busy neighbour/alone", ...ratio, note: `${threads} threads` });
}

/** @param {Answer} answer */
const secondsOf = ({ seconds: [own] }) => own ?? [];

/**
 * @param {NetworkKey} name
 * @param {Measured} all
 * @param {Context} context
 */
async function validation(name, all, { threads, quick, patience }) {
  await patience.quiet();
  const ratio = validationOverInference(NETWORKS[name], {
    threads,
    images: quick ? 1000 : 2000,
    layerOf: defaultCamLayer,
  });
  all.rows.push({ case: name, measure: "validation/inference", ...(await ratio) });
}

/**
 * The seconds from the start of `batch-cam train` to the end of its first step, as a shell would measure them.
 *
 * @param {Measured} all
 * @param {Context} context
 */
async function startUp(all, { folder, rounds, patience }) {
  const program = fileURLToPath(new URL("../../bin/batch-cam.mjs", import.meta.url));
  const seconds = [];
  for (let round = -1; round < rounds; round++) {
    await patience.quiet();
    const output = mkdtempSync(join(folder, "start-"));
    const began = performance.now();
    const child = spawn(process.execPath, [program, "train", "--log-every", "1", "--output", output, "--no-figures"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    child.stdout.setEncoding("utf8");
    let said = "";
    for await (const text of child.stdout) {
      said += text;
      if (/step 1\//.test(said)) break;
    }
    // The first round fills the caches.
    if (round >= 0) seconds.push((performance.now() - began) / 1000);
    child.kill("SIGKILL");
    await once(child, "exit");
    rmSync(output, { recursive: true, force: true });
  }
  all.rows.push({
    case: "train",
    measure: "start-up",
    ...spread(seconds),
    note: "node bin/batch-cam.mjs train, MNIST",
  });
}

/**
 * @param {Measured} all
 * @param {Context} context
 */
function dispatch(all, { python, quick }) {
  const program = fileURLToPath(new URL("../dispatch.mjs", import.meta.url));
  const text = execFileSync(process.execPath, [program, "--python", python, "--json", "--rounds", quick ? "5" : "11"], {
    encoding: "utf8",
  });
  const found = /** @type {{ torch: string, results: { operator: string, nanoseconds: number, ratio: number }[] }} */ (
    JSON.parse(text)
  );
  all.versions.torch = found.torch;
  for (const { operator, nanoseconds, ratio } of found.results)
    all.rows.push({
      case: "operators",
      measure: `call/${operator}`,
      median: ratio,
      note: `${Math.round(nanoseconds)} ns`,
    });
}
