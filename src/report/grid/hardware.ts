import { counted } from "../../counted.ts";
import type { AnalysisGroup } from "../../workflows/study/analysis.ts";
import { type Markup, markup } from "../page/markup.ts";

/** What tells of one run alone, or of whose machine it was. */
const APART: ReadonlySet<string> = new Set(["seed", "startedAt", "host"]);
/** More values than this are counted. */
const MOST = 4;

/** Versions and machines of all runs: every value that occurs. */
export function hardwareTable(groups: readonly AnalysisGroup[]): Markup {
  const values = new Map<string, Set<string>>();
  for (const { environment } of groups.flatMap(({ methods }) => methods.flatMap(({ done }) => done)))
    for (const [key, value] of Object.entries(environment))
      if (!APART.has(key) && value !== null && value !== undefined)
        values.set(key, (values.get(key) ?? new Set()).add(String(value)));
  const rows = Array.from(values, ([key, found]) => {
    const [first, ...others] = found;
    const text = found.size > MOST ? `${first} and ${counted(others.length, "other")}` : [...found].join(", ");
    return markup`<tr><th scope="row">${key}</th><td><code>${text}</code></td></tr>\n`;
  });
  if (rows.length === 0) return markup`<p>No run has finished.</p>`;
  return markup`<table class="settings"><tbody>${rows}</tbody></table>`;
}
