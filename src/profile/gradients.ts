import type { RecordedEvent } from "../tensor/internal.ts";
import { enclosing } from "./nesting.ts";

/**
 * Name of the events in which libtorch reports the autograd engine's own work for a node: running it, and checking and
 * accumulating its gradients.
 */
const ENGINE = "autograd::engine::evaluate_function";

export const isEngine = ({ name }: RecordedEvent): boolean => name.startsWith(ENGINE);

/**
 * Assigns each autograd node, by its sequence number, to a module event: the innermost one in which the node was
 * created. A node that was created during a backward pass (double backward) belongs to the module whose gradient was
 * being computed.
 *
 * Sequence numbers are assigned in order, so nodes that are created between two events have the numbers between theirs.
 * This also covers nodes that no operator reports.
 */
export function nodeOwners(events: readonly RecordedEvent[]): Map<number, number> {
  const owners = new Map<number, number>();
  const around = enclosing(events, "module", "backward");
  const open: { index: number; owner: number | undefined }[] = [];
  let next = events[0]?.before ?? 0;
  const claim = (until: number): void => {
    const owner = open.at(-1)?.owner;
    if (owner !== undefined) for (let node = next; node < until; node++) owners.set(node, owner);
    next = Math.max(next, until);
  };
  const closeTo = (outer: number): void => {
    for (let top = open.at(-1); top !== undefined && top.index !== outer; top = open.at(-1)) {
      claim((events[top.index] as RecordedEvent).after);
      open.pop();
    }
  };
  for (const [index, event] of events.entries()) {
    if (event.kind !== "module" && event.kind !== "backward") continue;
    closeTo(around[index] as number);
    claim(event.before);
    const owner = event.kind === "module" ? index : (owners.get(event.sequence) ?? open.at(-1)?.owner);
    open.push({ index, owner });
  }
  closeTo(-1);
  return owners;
}

/** One run of an autograd node in a backward pass. */
export interface NodeRun {
  /** Index of its event: that of the engine around the node's own event, if there is one. */
  event: number;
  /** Index of the module event that it belongs to; undefined for losses, maps and the accumulation into `.grad`. */
  owner: number | undefined;
}

export function nodeRuns(events: readonly RecordedEvent[]): NodeRun[] {
  const owners = nodeOwners(events);
  return [...events.entries()]
    .filter(([, { kind }]) => kind === "backward")
    .map(([index, { parent, sequence }]) => {
      const outer = events[parent];
      return { event: outer !== undefined && isEngine(outer) ? parent : index, owner: owners.get(sequence) };
    });
}
