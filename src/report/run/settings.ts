import { type Markup, markup } from "../page/markup.ts";
import { DASH } from "../text/numbers.ts";
import type { RunReportInput } from "./input.ts";

interface ConfiguredRun {
  name: string;
  config: Record<string, unknown>;
}

/** A table of the effective configuration of each run. Nested keys are joined by dots, and rows in which the runs differ are marked. */
export function configurationTable({ runs }: { runs: readonly ConfiguredRun[] }): Markup {
  const flat = runs.map(({ config }) => flatten(config));
  const keys = [...new Set(flat.flatMap((entries) => [...entries.keys()]))];
  const rows = keys.map((key) => {
    const values = flat.map((entries) => entries.get(key));
    const differs = new Set(values).size > 1;
    const cells = values.map((value) => markup`<td><code>${value ?? DASH}</code></td>`);
    const mark = differs ? markup` <span class="differs">differs</span>` : "";
    return markup`<tr${differs ? markup` class="differing"` : ""}><th scope="row"><code>${key}</code>${mark}</th>${cells}</tr>\n`;
  });
  const heads = runs.map(({ name }) => markup`<th scope="col">${name}</th>`);
  return markup`<table class="settings">
<thead><tr><th scope="col">Key</th>${heads}</tr></thead>
<tbody>${rows}</tbody>
</table>`;
}

/** A table of the versions and the machine. */
export function environmentTable({ environment }: RunReportInput): Markup {
  const rows = Object.entries(environment).map(([key, value]) => {
    const text = typeof value === "number" && !Number.isFinite(value) ? DASH : String(value);
    return markup`<tr><th scope="row">${key}</th><td><code>${text}</code></td></tr>\n`;
  });
  return markup`<table class="settings"><tbody>${rows}</tbody></table>`;
}

/** The commands that make the report again. */
export function reproduction({ commands = ["npm start"], caveats = [] }: RunReportInput): Markup {
  const shown = markup`<pre tabindex="0"><code>${commands.join("\n")}</code></pre>\n`;
  if (caveats.length > 0)
    return markup`${shown}${caveats.map((caveat) => markup`<p><strong>${caveat}</strong></p>\n`)}`;
  return markup`${shown}<p>The seed is part of the configuration above: the same versions on the same kind of processor with the same number of threads should give the same numbers; only the seconds will differ.</p>`;
}

function flatten(value: unknown, prefix = ""): Map<string, string> {
  const entries = new Map<string, string>();
  if (isRecord(value) && Object.keys(value).length > 0) {
    for (const [key, inner] of Object.entries(value)) {
      for (const [path, text] of flatten(inner, prefix === "" ? key : `${prefix}.${key}`)) entries.set(path, text);
    }
  } else if (prefix !== "") {
    entries.set(prefix, inWords(value));
  }
  return entries;
}

function inWords(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined || Number.isNaN(value)) return DASH;
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? String(inner) : inner)) ?? String(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
