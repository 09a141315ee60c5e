import { describe, expect, it } from "vitest";
import type { RecordedEvent } from "../tensor/recording.ts";
import { nodeOwners } from "./gradients.ts";
import { buildReport } from "./report.ts";

const MS = 1e6;

/** Makes an event from times in milliseconds. `nodes` are the node numbers before and after it. */
function event(
  kind: RecordedEvent["kind"],
  name: string,
  [start, end]: readonly [number, number],
  more: Partial<RecordedEvent> = {},
): RecordedEvent {
  const place = { parent: -1, sequence: -1, before: 0, after: 0, shapes: "" };
  return { kind, name, start: start * MS, end: end * MS, ...place, ...more };
}

/** Two steps of 10 ms, of which 6 and 8 ms are in phases. */
const PHASES = [
  event("step", "step 1", [0, 10]),
  event("phase", "optimizer", [0, 1], { parent: 0 }),
  event("phase", "forward", [1, 5], { parent: 0 }),
  event("phase", "optimizer", [5, 6], { parent: 0 }),
  event("step", "step 2", [20, 30]),
  event("phase", "optimizer", [20, 21], { parent: 4 }),
  event("phase", "forward", [21, 28], { parent: 4 }),
  event("phase", "maps", [22, 24], { parent: 6 }),
  event("phase", "optimizer", [28, 28], { parent: 4 }),
];

const report = (events: RecordedEvent[], dropped = 0) =>
  buildReport({ events, dropped }, { skipped: 5, types: new Map([["conv", "Conv2d"]]) });

describe("a profile's report", () => {
  it("gives each phase its mean time of a step, without the phases in it, and the rest to other", () => {
    const { phases, ...rest } = report(PHASES, 3);
    expect(rest).toMatchObject({ steps: 2, skipped: 5, millisecondsPerStep: 10, droppedEvents: 3 });
    expect(phases).toEqual([
      { name: "forward", milliseconds: 4.5, share: 0.45 },
      { name: "maps", milliseconds: 1, share: 0.1 },
      { name: "optimizer", milliseconds: 1.5, share: 0.15 },
      { name: "other", milliseconds: 3, share: 0.3 },
    ]);
  });

  it("counts an operator's own time once, and its total once where it calls itself", () => {
    const { operators, outsideOperators } = report([
      event("step", "step 1", [0, 10]),
      event("operator", "aten::add_", [1, 7], { parent: 0, shapes: "[2]" }),
      event("operator", "aten::add_", [2, 5], { parent: 1, shapes: "[3]" }),
      event("operator", "aten::empty", [3, 4], { parent: 2 }),
      event("operator", "aten::empty", [8, 9], { parent: 0 }),
    ]);
    const add = { name: "aten::add_", selfMilliseconds: 5, totalMilliseconds: 6, share: 0.5, callsPerStep: 2 };
    expect(operators).toEqual([
      {
        ...add,
        shapes: [
          { shapes: "[2]", selfMilliseconds: 3, callsPerStep: 1 },
          { shapes: "[3]", selfMilliseconds: 2, callsPerStep: 1 },
        ],
      },
      expect.objectContaining({ name: "aten::empty", selfMilliseconds: 2, totalMilliseconds: 2, callsPerStep: 2 }),
    ]);
    expect(outsideOperators).toBe(3);
  });

  it("gives a module the gradients of what it computed, and its parents their sum", () => {
    const { modules } = report([
      event("step", "step 1", [0, 20], { after: 5 }),
      event("module", "block", [0, 5], { parent: 0, after: 2 }),
      event("module", "conv", [1, 4], { parent: 1, before: 0, after: 1 }),
      event("operator", "autograd::engine::evaluate_function: A", [10, 14], { parent: 0, before: 3, after: 3 }),
      event("backward", "A", [11, 13], { parent: 3, sequence: 0, before: 3, after: 3 }),
      event("backward", "B", [14, 15], { parent: 0, sequence: 1, before: 3, after: 3 }),
      event("backward", "C", [15, 17], { parent: 0, sequence: 2, before: 3, after: 3 }),
    ]);
    expect(modules).toEqual([
      {
        ...{ path: "conv", type: "Conv2d", callsPerStep: 1, share: 7 / 20 },
        ...{ forwardSelfMilliseconds: 3, forwardMilliseconds: 3, backwardSelfMilliseconds: 4, backwardMilliseconds: 4 },
      },
      {
        ...{ path: "block", type: "", callsPerStep: 1, share: 3 / 20 },
        ...{ forwardSelfMilliseconds: 2, forwardMilliseconds: 5, backwardSelfMilliseconds: 1, backwardMilliseconds: 5 },
      },
      expect.objectContaining({ path: "(no module)", backwardMilliseconds: 2, callsPerStep: 0 }),
    ]);
  });
});

describe("nodeOwners", () => {
  it("gives the nodes of a gradient's own graph to the module of the gradient", () => {
    const owners = nodeOwners([
      event("step", "step 1", [0, 20], { before: 7, after: 13 }),
      event("module", "conv", [1, 2], { parent: 0, before: 7, after: 9 }),
      event("backward", "A", [5, 6], { parent: 0, sequence: 8, before: 10, after: 12 }),
      event("backward", "A's own", [7, 8], { parent: 0, sequence: 11, before: 12, after: 13 }),
    ]);
    expect([...owners]).toEqual([
      [7, 1],
      [8, 1],
      [10, 1],
      [11, 1],
      [12, 1],
    ]);
  });
});
