import type { GridSettings, Setting, SettingsRow } from "../../workflows/study/settings.ts";
import { type Markup, markup } from "../page/markup.ts";

const HEADINGS: Readonly<Record<SettingsRow["of"], string>> = {
  ...{ model: "model", dataset: "data set", method: "method", run: "run" },
};

/** The train options of a grid: what all runs share, and what each row of the grid has beside it. */
export function settingsTable({ common, rows }: GridSettings): Markup {
  if (common.length + rows.length === 0) return markup`<p>No run has finished.</p>`;
  const lines = rows.map(({ of, name, settings }) => line(`${HEADINGS[of]} ${name}`, settings));
  return markup`<p class="note">Train options by their names in a grid’s file; those that are not named have their defaults.</p>
<table class="settings"><tbody>${line("all runs", common)}${lines}</tbody></table>`;
}

function line(name: string, settings: readonly Setting[]): Markup {
  const options = settings.map(([option, value], index) => {
    return markup`${index === 0 ? "" : ", "}${option} <code>${value}</code>`;
  });
  return markup`<tr><th scope="row">${name}</th><td>${options}</td></tr>\n`;
}
