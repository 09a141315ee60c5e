import { definitionList, type PlainDefinition } from "../page/definitions.ts";
import type { Markup } from "../page/markup.ts";
import type { GridReportInput } from "./input.ts";
import { capital, LABELS } from "./labels.ts";

const OWN: readonly PlainDefinition[] = [
  {
    id: "spread",
    term: "Mean ± standard deviation",
    text: "Over the seeds of a method: the sample standard deviation, with n − 1. One seed has none.",
  },
  {
    id: "test",
    term: "Paired test",
    text: "Student’s t of the differences method − plain of the same seeds, two-sided, n − 1 degrees of freedom, with its 95 % interval; none with fewer than three seeds, nor where all differences are the same. Holm’s p is corrected for all methods held against the same plain training, measure by measure. With three seeds only differences that are large for their spread are told from chance; that no difference is told apart does not say that there is none.",
  },
  {
    id: "kinds",
    term: "Kinds of methods",
    text: "Plain: trained on the labels alone. Guided: by its maps, without annotations. Baseline: a published method without annotations. Reference: sees masks or clean images, so an upper bound and no rival. Control: the same training with what should not help, such as another class’s prototypes, or a usual regulariser; where a control does as well, what was gained is not due to where the maps point.",
  },
  {
    id: "step",
    term: "Time of a step",
    text: "Median over a run’s steps after the first five (over all where there are no more), data to optimizer; × plain is its ratio to that of plain training of the same seed.",
  },
];

const GAP: PlainDefinition = {
  id: "gap",
  term: "Gap closed",
  text: "(m − plain) / (reference − plain) of mean accuracies with random cues, the reference being the best of those that see masks or clean images.",
};

const CUE_TERMS: Readonly<Record<string, string>> = {
  ...{ aligned: "Aligned cues", random: "Random cues", clean: "No cue", adversarial: "Cues of a wrong class" },
  ...{ worstClass: "Worst class", energyInPatch: "Energy in the cue’s patch", wrongReason: "Wrong-reason score" },
};

/** What the numbers of a comparison mean: those that the demo has too, and its own. */
export function gridDefinitions({ groups, metricDefinitions, cueDefinitions }: GridReportInput): Markup {
  const runs = groups.flatMap(({ methods }) => methods.flatMap(({ done }) => done));
  const metrics = new Set(runs.flatMap(({ explanations }) => Object.keys(explanations?.values ?? {})));
  const explained = Object.entries(metricDefinitions)
    .filter(([name]) => metrics.has(name) && Object.hasOwn(LABELS, name) && !SHARED.has(name))
    .map(([name, text]) => {
      const term = LABELS[name as keyof typeof LABELS].name;
      return defined(`metric-${name}`, term, text);
    });
  const cue = runs.some(({ spurious }) => spurious !== null)
    ? [
        ...Object.entries(CUE_TERMS).map(([name, term]) => defined(`cue-${name}`, term, cueDefinitions[name] ?? "")),
        GAP,
      ]
    : [];
  return definitionList({ without: ["seconds"], more: [...OWN, ...cue, ...explained] });
}

const defined = (id: string, term: string, text: string): PlainDefinition => {
  return { id, term: capital(term), text: `${capital(text)}.` };
};

/** Measured on the whole test split too, and defined there. */
const SHARED: ReadonlySet<string> = new Set(["coherence", "deadMaps", "energyInForeground"]);
