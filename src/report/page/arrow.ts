import { arrowOf, type Measure } from "../../measures.ts";
import { type Markup, markup } from "./markup.ts";

/** An arrow in the direction that is better, behind a name; nothing if neither direction is. */
export function arrowMarkup({ better }: Pick<Measure, "better">): Markup | null {
  return better && markup` <span class="arrow" title="${better} is better">${arrowOf({ better })}</span>`;
}
