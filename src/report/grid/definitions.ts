import { EXPLANATION_MEASURES, MEASURE_GROUPS, type MeasureName } from "../../measures.ts";
import { type Definition, definitionList, measureDefinition, OBJECTIVE, SUBJECTS } from "../page/definitions.ts";
import type { Markup } from "../page/markup.ts";
import type { GridReportInput } from "./input.ts";

const STATISTICS: readonly Definition[] = [
  {
    id: "spread",
    term: "Mean ± standard deviation",
    text: "Over the seeds of a method: the sample standard deviation, with n − 1. One seed has none.",
  },
  {
    id: "test",
    term: "Paired test",
    text: "Student’s t of the differences method − plain of the same seeds, two-sided, with n − 1 degrees of freedom and a 95 % interval. No test is made with fewer than three seeds, nor if all differences are the same. Holm’s p is corrected, measure by measure, for all methods that are compared with the same plain training. With three seeds, only differences that are large compared to their spread can be significant; a difference that is not significant may still exist.",
  },
  {
    id: "kinds",
    term: "Kinds of methods",
    text: "Plain: trained on the labels alone. Guided: trained by its maps, without annotations. Baseline: a published method without annotations. Reference: a method that uses masks or clean images, and is therefore an upper bound rather than a competitor. Control: the same training with something that should not help, such as another class’s prototypes, or a usual regulariser. If a control does as well, the gain does not come from where the maps point.",
  },
];

const OVERHEAD: Definition = {
  id: "overhead",
  term: "× plain",
  text: "The time of a step as a multiple of that of plain training from the same seed.",
};

const GAP: Definition = {
  id: "gap",
  term: "Gap closed",
  text: "(m − plain) / (reference − plain) of mean accuracies with random cues. The reference is the best of those that use masks or clean images.",
};

const measuresOf = (group: keyof typeof MEASURE_GROUPS): MeasureName[] =>
  Object.keys(MEASURE_GROUPS[group].measures) as MeasureName[];

const ON_TEST = [...measuresOf("classification"), ...measuresOf("maps")];

/** The definitions of all numbers that a comparison shows. */
export function gridDefinitions({ groups }: GridReportInput): Markup {
  const runs = groups.flatMap(({ methods }) => methods.flatMap(({ done }) => done));
  const metrics = new Set(runs.flatMap(({ explanations }) => Object.keys(explanations?.values ?? {})));
  const compared = new Set(groups.flatMap(({ methods }) => methods.flatMap(({ values }) => Object.keys(values))));
  const explained = EXPLANATION_MEASURES.filter(
    (name) => metrics.has(name) && compared.has(name) && !ON_TEST.includes(name),
  );
  const cue = runs.some(({ spurious }) => spurious !== null) ? measuresOf("cue").map(measureDefinition) : [];
  return definitionList([
    ...SUBJECTS,
    ...ON_TEST.map(measureDefinition),
    OBJECTIVE,
    ...STATISTICS,
    measureDefinition("secondsPerStep"),
    OVERHEAD,
    ...cue,
    ...(cue.length > 0 ? [GAP] : []),
    ...explained.map(measureDefinition),
  ]);
}
