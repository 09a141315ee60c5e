import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { Conv2d, Flatten, Linear, ReLU, Sequential } from "../nn/index.ts";
import { backward, manualSeed, ones, type Tensor, tidy } from "../tensor/index.ts";
import { phase } from "../tensor/internal.ts";
import { withGuidedRelu } from "../tensor/tensor.ts";
import { profile, type RecordedEvent, writeTrace } from "./index.ts";

const folder = temporaryFolder("profile");

manualSeed(0);
const network = new Sequential(
  new Sequential(new Conv2d(1, 8, 3), new ReLU()),
  new Flatten(),
  new Linear(8 * 26 * 26, 10),
);
const images = ones([4, 1, 28, 28]);

function step(): number {
  return tidy(() => {
    network.zeroGrad();
    const logits = phase("forward", () => network.forward(images));
    const loss = logits.mul(logits).mean();
    phase("backward", () => backward(loss));
    return loss.item();
  });
}

const gradients = (): number[][] =>
  network.parameters().map(({ grad }) => Array.from((grad as Tensor).data() as Float32Array));

describe("profile", () => {
  it("says how long phases, operators and modules take, forward and backward", () => {
    const { report } = profile(step, { steps: 3, skip: 1, model: network });
    expect(report).toMatchObject({ steps: 3, skipped: 1, droppedEvents: 0 });
    expect(report.phases.map(({ name }) => name)).toEqual(["forward", "backward", "other"]);
    const convolution = report.operators.find(({ name }) => name === "aten::conv2d");
    expect(convolution).toMatchObject({ callsPerStep: 1, shapes: [{ shapes: "[4, 1, 28, 28] [8, 1, 3, 3] [8]" }] });
    expect(report.operators.find(({ name }) => name === "ConvolutionBackward0")).toMatchObject({ callsPerStep: 1 });
    const modules = new Map(report.modules.map((module) => [module.path, module]));
    expect([...modules.keys()].sort()).toEqual(["(no module)", "0", "0.0", "0.1", "1", "2"]);
    for (const [path, type] of Object.entries({ "0.0": "Conv2d", "0.1": "ReLU", 2: "Linear" })) {
      expect(modules.get(path)).toMatchObject({ type, callsPerStep: 1 });
      expect(modules.get(path)?.forwardSelfMilliseconds).toBeGreaterThan(0);
      expect(modules.get(path)?.backwardSelfMilliseconds).toBeGreaterThan(0);
    }
    expect(modules.get("(no module)")?.backwardMilliseconds).toBeGreaterThan(0);
  });

  it("accounts for all of a step: phases add up to it, and so do operators and what is outside them", () => {
    const { report } = profile(step, { steps: 4 });
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    const operators = sum(report.operators.map(({ selfMilliseconds }) => selfMilliseconds));
    expect(operators + report.outsideOperators).toBeCloseTo(report.millisecondsPerStep, 6);
    expect(sum(report.phases.map(({ share }) => share))).toBeCloseTo(1, 9);
    expect(Math.min(...report.operators.map(({ selfMilliseconds }) => selfMilliseconds))).toBeGreaterThanOrEqual(0);
    expect(report.outsideOperators).toBeGreaterThan(0);
  });

  it("sees the backward pass, which runs on the thread that asks for it", () => {
    const { report, events } = profile(step, { steps: 2 });
    const nodes = events.filter(({ kind }) => kind === "backward");
    const phaseOf = ({ parent }: RecordedEvent): string => {
      const outer = events[parent] as RecordedEvent;
      return outer.kind === "phase" ? outer.name : phaseOf(outer);
    };
    expect(new Set(nodes.map(phaseOf))).toEqual(new Set(["backward"]));
    for (const name of ["ConvolutionBackward0", "AddmmBackward0", "torch::autograd::AccumulateGrad"])
      expect(nodes.map((node) => node.name)).toContain(name);
    const pass = report.phases.find(({ name }) => name === "backward");
    const engine = report.operators.find(({ name }) => name === "autograd::engine");
    expect(engine?.totalMilliseconds).toBeLessThanOrEqual(pass?.milliseconds ?? 0);
  });

  it("names a backward node of the addon's own plainly", () => {
    const guided = () => withGuidedRelu(() => backward(ones([2], { requiresGrad: true }).relu().sum()));
    const { report } = profile(() => tidy(guided), { skip: 0 });
    expect(report.operators.map(({ name }) => name)).toContain("batch_cam::GuidedReluBackward");
  });

  it("computes the same bits as without it", () => {
    const loss = step();
    const before = gradients();
    const losses = new Set<number>();
    profile(() => losses.add(step()), { steps: 3, skip: 0 });
    expect([...losses]).toEqual([loss]);
    expect(gradients()).toEqual(before);
  });

  it("runs a step as often as requested, and counts its calls", () => {
    const seen: number[] = [];
    const { report, events } = profile((index) => seen.push(index), { steps: 2, skip: 3 });
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    expect(events.map(({ name }) => name)).toEqual(["step 4", "step 5"]);
    expect(report).toMatchObject({ steps: 2, operators: [], modules: [], phases: [{ name: "other", share: 1 }] });
  });

  it("names modules by their class if no model is given", () => {
    const { report } = profile(step, { steps: 1, skip: 0 });
    expect(report.modules.map(({ path }) => path)).toContain("(Conv2d)");
  });

  it("keeps at most as many operators as it may, and says how many it left out", () => {
    const whole = profile(step, { steps: 1, skip: 0 });
    const operators = whole.events.filter(({ kind }) => kind === "operator" || kind === "backward").length;
    const { report, events } = profile(step, { steps: 1, skip: 0, maxEvents: 20 });
    expect(events.filter(({ kind }) => kind === "operator" || kind === "backward")).toHaveLength(20);
    expect(report.droppedEvents).toBe(operators - 20);
    expect(report.phases.map(({ name }) => name)).toEqual(["forward", "backward", "other"]);
  });

  it("passes on what a step throws, and leaves no recording open", () => {
    const fail = () =>
      phase("forward", () => {
        network.forward(ones([1, 1, 5, 5]));
      });
    expect(() => profile(fail, { skip: 0 })).toThrow(expect.objectContaining({ code: "E_SHAPE" }));
    expect(profile(step, { steps: 1, skip: 0 }).report.phases).toHaveLength(3);
  });

  it("refuses another profile within one, and the outer one continues", () => {
    const refused: unknown[] = [];
    const inner = () => {
      try {
        profile(step, { skip: 0 });
      } catch (error) {
        refused.push(error);
      }
      step();
    };
    const { report } = profile(inner, { steps: 2, skip: 0 });
    const one = expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(/recorded already/) });
    expect(refused).toEqual([one, one]);
    expect(report.operators.find(({ name }) => name === "aten::conv2d")).toMatchObject({ callsPerStep: 1 });
  });

  it.each([
    [{ steps: 0 }, /profile: steps must be an integer from 1 to 10000, got 0/],
    [{ steps: 1.5 }, /profile: steps/],
    [{ steps: "3" }, /profile: steps .* got "3"/],
    [{ skip: -1 }, /profile: skip/],
    [{ maxEvents: Number.NaN }, /profile: maxEvents .* got NaN/],
    [{ model: "resnet18" }, /profile: model: expected a Module, got "resnet18"/],
    [null, /profile: options must be an object/],
  ])("refuses %j", (options, message) => {
    const refusal = expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringMatching(message) });
    expect(() => profile(step, options as never)).toThrow(refusal);
  });

  it("refuses a step that returns a promise", () => {
    expect(() => profile(async () => step())).toThrow(/must be synchronous/);
    expect(() => profile(5 as never)).toThrow(/profile: step must be a function/);
  });
});

describe("phase", () => {
  it("gives what its function gives, with or without a profile", () => {
    expect(phase("maps", () => 7)).toBe(7);
    expect(() => phase(3 as never, () => 7)).toThrow(/phase: name must be a string/);
    expect(() => phase("maps", async () => 7)).toThrow(/must be synchronous/);
  });
});

interface TraceEvent {
  ph: string;
  name: string;
  tid: number;
  ts: number;
  dur: number;
  id: number;
  args: Record<string, unknown>;
}

const readTrace = (path: string): TraceEvent[] => JSON.parse(readFileSync(path, "utf8")).traceEvents;

/** The nesting depth of a row's events. Throws if two events overlap and neither contains the other. */
function depthOf(row: TraceEvent[]): number {
  const open: TraceEvent[] = [];
  let deepest = 0;
  for (const event of row.sort((a, b) => a.ts - b.ts || b.dur - a.dur)) {
    const end = ({ ts, dur }: TraceEvent) => ts + dur + 1e-6; // microseconds with three decimals are rounded
    while (open.length > 0 && end(open.at(-1) as TraceEvent) - 2e-6 <= event.ts) open.pop();
    const outer = open.at(-1);
    if (outer !== undefined && event.ts + event.dur > end(outer)) throw new Error(`${event.name} leaves ${outer.name}`);
    deepest = Math.max(deepest, open.push(event));
  }
  return deepest;
}

describe("writeTrace", () => {
  const path = join(folder, "trace.json");
  const { events } = profile(step, { steps: 2, skip: 1, model: network });

  it("writes a row each of phases, modules and operators, whose bars are nested and in order", async () => {
    await writeTrace(path, { events });
    const trace = readTrace(path);
    const names = trace.filter(({ name }) => name === "thread_name").map(({ tid, args }) => [tid, args.name]);
    expect(names).toEqual([
      [1, "phases"],
      [2, "modules"],
      [3, "operators"],
    ]);
    const bars = trace.filter(({ ph }) => ph === "X");
    const row = (number: number) => bars.filter(({ tid }) => tid === number);
    expect([...new Set(row(1).map(({ name }) => name))]).toEqual(["step 2", "forward", "backward", "step 3"]);
    expect(row(2).map(({ name }) => name)).toEqual(expect.arrayContaining(["0", "0.0", "0.0 backward", "2 backward"]));
    expect(row(3).find(({ name }) => name === "aten::relu")?.args).toMatchObject({ shapes: "[4, 8, 26, 26]" });
    const began = row(3).map(({ ts }) => ts);
    expect(began).toEqual([...began].sort((a, b) => a - b));
    expect(Math.min(...bars.map(({ ts, dur }) => Math.min(ts, dur)))).toBeGreaterThanOrEqual(0);
    expect([1, 2, 3].map((number) => depthOf(row(number)))).toEqual([2, 2, expect.any(Number)]);
    expect(depthOf(row(3))).toBeGreaterThan(3);
  });

  it("leads from each operator to its gradient", async () => {
    await writeTrace(path, { events });
    const trace = readTrace(path);
    const bar = (arrow: TraceEvent | undefined) =>
      trace.filter(({ ph, tid, ts }) => ph === "X" && tid === 3 && ts === arrow?.ts).map(({ name }) => name);
    const ends = trace.filter(({ ph }) => ph === "f");
    const convolution = ends.find((end) => bar(end).includes("ConvolutionBackward0"));
    const start = trace.find(({ ph, id }) => ph === "s" && id === convolution?.id);
    expect(bar(start)).toEqual(["aten::convolution"]);
    expect(start?.ts).toBeLessThan(convolution?.ts ?? 0);
    expect(trace.filter(({ ph }) => ph === "s")).toHaveLength(ends.length);
  });

  it("says what is wrong with its arguments and with the file", async () => {
    await expect(writeTrace("", { events })).rejects.toMatchObject({ code: "E_ARGUMENT" });
    await expect(writeTrace(path, {} as never)).rejects.toMatchObject({ code: "E_ARGUMENT" });
    await expect(writeTrace(path, { events: [1] } as never)).rejects.toMatchObject({ code: "E_ARGUMENT" });
    await expect(writeTrace("/dev/null/trace.json", { events })).rejects.toMatchObject({ code: "E_IO" });
    expect(existsSync("/dev/null/trace.json")).toBe(false);
  });
});
