import { arrowOf, MEASURES, type Measure, type MeasureName } from "../../measures.ts";
import { capital, testName } from "../text/measure-text.ts";
import { FORMULAS } from "./formulas.ts";
import { type Markup, markup } from "./markup.ts";

/** A defined term: a measure, or another one such as "map". */
export interface Definition {
  /** The id of the definition on the page: links have the form `#about-<id>`. */
  id: string;
  term: string;
  text: string;
}

/** The terms that the measures are about. */
export const SUBJECTS: readonly Definition[] = [
  {
    id: "map",
    term: "Map",
    text: "Grad-CAM of the true class t, computed for the whole batch in one pass: A are the channels of the target layer (camLayer, or the last layer whose map has 7 cells or more a side), and S are the scores before softmax. The map is resized to the image (bilinear) and then scaled to [0, 1]; ε keeps the division finite: it is 10⁻⁶ of the map’s range on this page, and camEps in the training objective.",
  },
  {
    id: "prototype",
    term: "Prototype",
    text: "The mean of the training images x of class c, with pixels in [0, 1] (unless the configuration names another statistic).",
  },
];

/** The definition of the loss. */
export const OBJECTIVE: Definition = {
  id: "loss",
  term: "Loss",
  text: "Guided training minimises the cross-entropy, plus the distance d (L1, L2 or 1 − SSIM) of each map from its prototype, plus the distance of the mean map of each class in the batch. Each weight λ grows linearly during the warm-up. Plain training minimises the cross-entropy alone, and a baseline adds a term of its own. The formula of the last term is that of the target “prototype”.",
};

/** The definition of a measure, as the table of measures has it. */
export function measureDefinition(name: MeasureName): Definition {
  const { definition, source, note } = MEASURES[name];
  const sentence = `${capital(definition)}${source === undefined ? "" : ` (${source})`}.`;
  const text = [sentence, note].filter(Boolean).join(" ").replaceAll("'", "’");
  return { id: name, term: capital(testName(name)), text };
}

/** A list of definitions, with their formulas. */
export function definitionList(definitions: readonly Definition[]): Markup {
  const entries = definitions.map(({ id, term, text }) => {
    return markup`<div id="about-${id}"><dt>${term}</dt><dd><p>${text}</p>${FORMULAS[id]}</dd></div>\n`;
  });
  return markup`<dl class="definitions">
${entries}</dl>`;
}

/** An arrow after a name, in the direction that is better; nothing if neither direction is. */
export function arrowMarkup({ better }: Pick<Measure, "better">): Markup | null {
  return better && markup` <span class="arrow" title="${better} is better">${arrowOf({ better })}</span>`;
}
