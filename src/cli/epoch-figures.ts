import { join } from "node:path";
import { writeFileAtomically } from "../atomic-file.ts";
import { counted } from "../counted.ts";
import { mapsFigure } from "../report/figures/maps-figure.ts";
import type { FigureInput } from "../report/index.ts";
import type { SplitRecord, StartEvent, TrainEvent } from "../train/events.ts";
import { namedMeasures } from "./progress-lines.ts";

export interface Figures {
  onEvent(event: TrainEvent): void;
  /** Resolves once every figure is written. */
  written(): Promise<void>;
}

/** Draws `figures/epoch-N.png` of a run for each `maps` event. A figure that cannot be written is a warning: the run goes on. */
export function createFigures(warn: (message: string) => void): Figures {
  let start: StartEvent | undefined;
  let judged = "";
  let writing = Promise.resolve();
  const onEvent = (event: TrainEvent): void => {
    if (event.type === "start") start = event;
    if (event.type === "epoch") judged = `: ${judgement(event.record.val)}`;
    if (event.type !== "maps" || !start) return;
    const { runDirectory, epochs } = start;
    const name = `epoch-${String(event.epoch).padStart(String(epochs).length, "0")}.png`;
    const input = mapsFigure(event.samples, `Epoch ${event.epoch} of ${epochs}`, `${runDirectory}${judged}`);
    writing = writing
      .then(() => draw(join(runDirectory, "figures", name), input))
      .catch((error: Error) => warn(`no figure of epoch ${event.epoch}: ${error.message}`));
  };
  return { onEvent, written: () => writing };
}

function judgement(record: SplitRecord): string {
  const numbers = namedMeasures(record, ["accuracy", "mapSsim", "deadMaps"]);
  return [counted(record.images, "validation image"), ...numbers].join(", ");
}

async function draw(path: string, input: FigureInput): Promise<void> {
  const { camFigure } = await import("../report/index.ts");
  await writeFileAtomically(path, camFigure(input).png);
}
