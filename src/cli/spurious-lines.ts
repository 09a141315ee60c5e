import { counted } from "../counted.ts";
import { CUE_SETS } from "../data/cue-sets.ts";
import { DECOY_SIDE } from "../data/decoy.ts";
import { DATASETS } from "../data/description.ts";
import type { SpuriousRecord } from "../evaluate/spurious.ts";
import type { RunSubject } from "../evaluate/subject.ts";
import { percent } from "./progress-lines.ts";
import { formatTable } from "./table.ts";

const inPercent = (share: number) => (share * 100).toFixed(1);

/** How far a model leans on its data set's cue: a table of the four test sets, and what the maps show of the patch. */
export function spuriousLines(
  record: SpuriousRecord,
  { config: { dataset, decoyVariant }, imageSize }: Pick<RunSubject, "config" | "imageSize">,
): string[] {
  const patched = DATASETS.some(({ name, options }) => name === dataset && "decoyVariant" in options);
  const cue = patched ? `the patch (${decoyVariant})` : "the colour";
  const rows = CUE_SETS.map((set) => [set, inPercent(record.accuracy[set]), inPercent(record.worstClass[set])]);
  const [height, width] = imageSize;
  const area = DECOY_SIDE[decoyVariant] ** 2 / (height * width);
  return [
    `how far the model leans on ${cue}, ${counted(record.images, "test image")}`,
    formatTable([patched ? "patch" : "colour", "accuracy %", "worst class %"], rows),
    "aligned: of the image's own class; random: of any class; clean: none; adversarial: of class 9 − y",
    ...(patched ? mapLines(record, area) : []),
    "",
  ];
}

function mapLines({ energyInPatch, wrongReason }: SpuriousRecord, area: number): string[] {
  if (energyInPatch === null || wrongReason === null) return ["maps of the random set: all are dead"];
  const { score, dropped } = wrongReason;
  const maps = `maps of the random set: ${percent(energyInPatch)} of their sum on the patch, which is ${percent(area)} of the image`;
  return [
    `${maps}; wrong-reason score ${percent(score)}${dropped > 0 ? ` (without ${counted(dropped, "dead map")})` : ""}`,
  ];
}
