import { appendFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { expectFunction } from "../../arguments.ts";
import { makeFolder } from "../../atomic-file.ts";
import type { StartEvent, TrainEvent } from "../../train/run/events.ts";
import { mapsFigure } from "../figures/picture-rows.ts";
import { inCell, markdownTable } from "../text/markdown.ts";
import { eventRecord } from "./event-file.ts";
import { type EventContent, encodeEvent, type SummaryValue } from "./event-message.ts";

export interface TensorBoardLog {
  onEvent(event: TrainEvent): void;
  /** Resolves once everything is written. */
  written(): Promise<void>;
}

/**
 * Writes a run for TensorBoard, into an event file of its own in `<run>/tensorboard/`: every term of each logged step and epoch, the
 * maps of each epoch, the config. Where a run goes on, a new file voids what was logged beyond its checkpoint. What cannot be
 * written is one warning: the run goes on.
 *
 * @param warn without it, a process warning
 */
export function createTensorBoardLog(
  warn: (message: string) => void = (message) => process.emitWarning(message),
): TensorBoardLog {
  expectFunction("createTensorBoardLog: warn", warn);
  let start: StartEvent | undefined;
  let step = 0; // of the last event that has one
  let failed = false;
  let writing = Promise.resolve();
  let file = "";
  const queue = (task: () => Promise<Buffer>) => {
    writing = writing
      .then(async () => {
        if (failed) return;
        await appendFile(file, await task());
      })
      .catch((error: Error) => {
        failed = true;
        warn(`nothing more for TensorBoard: ${error.message}`);
      });
  };
  const append = (content: EventContent, at: number) => {
    const record = recordOf(content, at);
    queue(async () => record);
  };
  const begin = (event: StartEvent) => {
    start = event;
    file = join(event.runDirectory, "tensorboard", newFile());
    queue(async () => {
      await makeFolder(dirname(file));
      return recordOf({ fileVersion: "brain.Event:2" }, 0);
    });
    step = event.resumedFromStep;
    if (step > 0) append({ sessionStart: true }, event.voidFromStep);
    // On resuming too: what may change between two parts of a run has its value for this part.
    append({ summary: [{ tag: "config", text: configTable(event.config) }] }, event.voidFromStep);
  };
  const onEvent = (event: TrainEvent): void => {
    if (event.type === "start") begin(event);
    if (start === undefined) return;
    if (event.type === "epoch") step = event.record.step;
    if ("step" in event) step = event.step;
    const summary = scalarsOf(event);
    if (summary.length > 0) append({ summary }, step);
    if (event.type !== "maps") return;
    const [at, about] = [step, start];
    queue(async () => {
      try {
        return recordOf({ summary: [await mapsImage(event, about)] }, at);
      } catch (error) {
        warn(`no picture of epoch ${event.epoch} for TensorBoard: ${(error as Error).message}`);
        return Buffer.alloc(0);
      }
    });
  };
  return { onEvent, written: () => writing };
}

let files = 0;

/** Names sort by time, and no two files share one. */
const newFile = (): string =>
  `events.out.tfevents.${Math.floor(Date.now() / 1000)}.${hostname()}.${process.pid}.${files++}`;

const recordOf = (content: EventContent, step: number): Buffer =>
  eventRecord(encodeEvent(content, { wallTime: Date.now() / 1000, step }));

/** Numbers alone: terms that the objective does not have are left out. */
function scalars(group: string, record: object): SummaryValue[] {
  return Object.entries(record).flatMap(([name, value]) =>
    typeof value === "number" ? [{ tag: `${group}/${name}`, scalar: value }] : [],
  );
}

function scalarsOf(event: TrainEvent): SummaryValue[] {
  if (event.type === "step") return scalars("step", { ...event.metrics, imagesPerSecond: event.imagesPerSecond });
  if (event.type === "balance")
    return event.terms.flatMap(({ term, gradNorm, cosine }) =>
      scalars("balance", { [`${term} gradient`]: gradNorm, [`${term} cosine`]: cosine }),
    );
  if (event.type === "epoch") return [...scalars("train", event.record.train), ...scalars("val", event.record.val)];
  return event.type === "end" && event.result.test !== null ? scalars("test", event.result.test) : [];
}

async function mapsImage(
  { epoch, samples }: Extract<TrainEvent, { type: "maps" }>,
  { epochs, runDirectory }: StartEvent,
): Promise<SummaryValue> {
  const { camFigure } = await import("../index.ts");
  const { png } = camFigure(mapsFigure(samples, `Epoch ${epoch} of ${epochs}`, runDirectory));
  const { width, height } = sizeOfPng(png);
  return { tag: "maps", image: { png, width, height } };
}

/** From a PNG's header, which comes first. */
function sizeOfPng(png: Uint8Array): { width: number; height: number } {
  const view = new DataView(png.buffer, png.byteOffset);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** The config as a table in Markdown. */
function configTable(config: StartEvent["config"]): string {
  const rows = Object.entries(config).map(([key, value]) => [key, inCell(String(value))]);
  return markdownTable(["option", "value"], rows);
}
