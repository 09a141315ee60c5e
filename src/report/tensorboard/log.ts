import { appendFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { expectFunction } from "../../arguments.ts";
import { makeFolder } from "../../atomic-file.ts";
import type { StartEvent, TrainEvent } from "../../train/index.ts";
import { mapsFigure } from "../figures/picture-rows.ts";
import { inCell, markdownTable } from "../text/markdown.ts";
import { type EventContent, encodeEvent, eventRecord, type SummaryValue } from "./events.ts";

export interface TensorBoardLog {
  onEvent(event: TrainEvent): void;
  /** Resolves once everything is written. */
  written(): Promise<void>;
}

/**
 * Writes a run for TensorBoard, into an event file of its own in `<run>/tensorboard/`: every term of each logged step and epoch, the
 * maps of each epoch, and the config. If a run is resumed, a new file makes TensorBoard discard what was logged after the checkpoint. A
 * failure to write is one warning, and the run continues.
 *
 * @param warn takes warnings; a process warning if absent
 */
export function createTensorBoardLog(
  warn: (message: string) => void = (message) => process.emitWarning(message),
): TensorBoardLog {
  expectFunction("createTensorBoardLog: warn", warn);
  const log = new RunLog(warn);
  return { onEvent: (event) => log.onEvent(event), written: () => log.written };
}

class RunLog {
  readonly #warn: (message: string) => void;
  #start: StartEvent | undefined;
  /** The step of the last event that has one. */
  #step = 0;
  #file = "";
  #failed = false;
  #writing = Promise.resolve();

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  get written(): Promise<void> {
    return this.#writing;
  }

  onEvent(event: TrainEvent): void {
    if (event.type === "start") this.#begin(event);
    if (this.#start === undefined) return;
    if (event.type === "epoch") this.#step = event.record.step;
    if ("step" in event) this.#step = event.step;
    const summary = scalarsOf(event);
    if (summary.length > 0) this.#append({ summary }, this.#step);
    if (event.type === "maps") this.#appendMaps(event, this.#start);
  }

  #begin(event: StartEvent): void {
    this.#start = event;
    this.#file = join(event.runDirectory, "tensorboard", newFile());
    this.#queue(async () => {
      await makeFolder(dirname(this.#file));
      return encodedRecord({ fileVersion: "brain.Event:2" }, 0);
    });
    this.#step = event.resumedFromStep;
    if (this.#step > 0) this.#append({ sessionStart: true }, event.voidFromStep);
    // A resumed run writes the config again, because some options may have changed.
    this.#append({ summary: [{ tag: "config", text: configTable(event.config) }] }, event.voidFromStep);
  }

  #appendMaps(event: MapsEvent, start: StartEvent): void {
    const step = this.#step;
    this.#queue(async () => {
      try {
        return encodedRecord({ summary: [await mapsImage(event, start)] }, step);
      } catch (error) {
        this.#warn(
          `the picture of epoch ${event.epoch} could not be written for TensorBoard: ${(error as Error).message}`,
        );
        return Buffer.alloc(0);
      }
    });
  }

  #append(content: EventContent, step: number): void {
    const record = encodedRecord(content, step);
    this.#queue(async () => record);
  }

  /** Writes in the order of the calls, and nothing more after a failure. */
  #queue(task: () => Promise<Buffer>): void {
    this.#writing = this.#writing
      .then(async () => {
        if (!this.#failed) await appendFile(this.#file, await task());
      })
      .catch((error: Error) => {
        this.#failed = true;
        this.#warn(`no more TensorBoard events are written: ${error.message}`);
      });
  }
}

type MapsEvent = Extract<TrainEvent, { type: "maps" }>;

let files = 0;

/** The names are in the order of time, and no two files have the same name. */
const newFile = (): string =>
  `events.out.tfevents.${Math.floor(Date.now() / 1000)}.${hostname()}.${process.pid}.${files++}`;

const encodedRecord = (content: EventContent, step: number): Buffer =>
  eventRecord(encodeEvent(content, { wallTime: Date.now() / 1000, step }));

/** One scalar for each number of a record. Terms that the objective does not have are null, and left out. */
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

async function mapsImage({ epoch, samples }: MapsEvent, { epochs, runDirectory }: StartEvent): Promise<SummaryValue> {
  const { camFigure } = await import("../index.ts");
  const { png } = camFigure(mapsFigure(samples, `Epoch ${epoch} of ${epochs}`, runDirectory));
  const { width, height } = sizeOfPng(png);
  return { tag: "maps", image: { png, width, height } };
}

/** The size in the header of a PNG, which begins the file. */
function sizeOfPng(png: Uint8Array): { width: number; height: number } {
  const view = new DataView(png.buffer, png.byteOffset);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** The config as a table in Markdown. */
function configTable(config: StartEvent["config"]): string {
  const rows = Object.entries(config).map(([key, value]) => [key, inCell(String(value))]);
  return markdownTable(["option", "value"], rows);
}
