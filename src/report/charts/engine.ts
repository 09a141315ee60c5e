import { textWidth } from "../figures/font.ts";
import { rasterize } from "../figures/raster.ts";
import { colour, inLight } from "../page/colours.ts";
import { escapeMarkup, Markup } from "../page/markup.ts";

/** A chart in Vega-Lite, without the settings that all charts share. */
export type Panel = { title: string } & Record<string, unknown>;

/** The description of a figure, from which it is drawn. */
export interface FigurePlan {
  /** The name of its files. */
  name: string;
  title: string;
  caption: string;
  panels: readonly Panel[];
  /** The number of panels in a row in the files. On the page a row has as many as fit. */
  columns: number;
  /** A legend that only the files need, because the page has it as text. */
  key?: Panel;
}

/** A figure, as part of a page and as files. */
export interface DrawnFigure {
  name: string;
  title: string;
  caption: string;
  /** One SVG for each panel, in the colours of the page's theme. */
  panels: { title: string; svg: Markup; width: number }[];
  svg: string;
  png: Uint8Array;
}

const CONFIG = {
  aria: false,
  background: null,
  font: "DejaVu Sans, sans-serif",
  view: { stroke: null },
  axis: {
    ...{ labelColor: colour("muted"), titleColor: colour("muted"), labelFontSize: 11, labelLimit: 150 },
    ...{ gridColor: colour("rule"), domainColor: colour("muted"), tickColor: colour("muted") },
    ...{ titleFontSize: 11, titleFontWeight: "normal" },
    ...{ labelFlush: false, labelOverlap: "greedy", labelSeparation: 4 },
  },
  title: { color: colour("text"), fontSize: 12, anchor: "start", offset: 8 },
  text: { color: colour("text"), fontSize: 11 },
};

/** Draws a figure by Vega-Lite, which is loaded when the first figure is drawn. The same plan gives the same bytes. */
export async function drawFigure(plan: FigurePlan): Promise<DrawnFigure> {
  const { name, title, caption } = plan;
  const panels = [];
  for (const { title: heading, ...panel } of plan.panels) {
    const svg = await render(panel, { id: `${name}-${panels.length}`, description: `${title}: ${heading}` });
    panels.push({ title: heading, svg: new Markup(svg), width: sizeOf(svg).width });
  }
  const named = plan.panels.length > 1 ? plan.panels : plan.panels.map(({ title: _, ...panel }) => panel);
  const parts = plan.key === undefined ? named : [...named, plan.key];
  const whole = { concat: parts, columns: plan.columns, spacing: 28, title: { text: title, fontSize: 14 } };
  const svg = inLight(await render(whole, { id: `${name}-${parts.length}`, description: title }));
  return { name, title, caption, panels, svg, png: rasterize(svg, sizeOf(svg)) };
}

interface Named {
  /** A prefix of the ids of the chart's parts, so that no two charts of a page share an id. */
  id: string;
  /** Describes the chart for a reader who cannot see it. */
  description: string;
}

/** One chart without its title, for a page that writes the title as text. */
export async function drawChart({ title: _, ...panel }: Panel, named: Named): Promise<Markup> {
  return new Markup(await render(panel, named));
}

async function render(spec: object, { id, description }: Named): Promise<string> {
  const { compile, vega } = await load();
  const full = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", padding: 6, ...spec, config: CONFIG };
  const view = new vega.View(vega.parse(compile(full as never, { logger: SILENT as never }).spec), {
    renderer: "none",
    logLevel: vega.Error,
  });
  try {
    const svg = ownIds(rounded(await view.toSVG()), id)
      // The names of the chart's parts, such as axes, are hidden from screen readers, because the description of the
      // chart says more.
      .replace(/ (?:role|aria-[a-z]+)="[^"]*"/g, "")
      .replace(' class="marks"', "")
      .replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "");
    return svg.replace(/^<svg ([^>]*>)/, (_, rest: string) => {
      return `<svg class="chart" role="img" ${rest}<title>${escapeMarkup(description)}</title>`;
    });
  } finally {
    view.finalize();
  }
}

/**
 * Vega numbers its ids across the whole process. They are replaced, because ids must differ on a page, and a report must not depend on
 * charts that were drawn before.
 */
function ownIds(svg: string, prefix: string): string {
  const ids = new Map<string, string>();
  const own = (id: string) => {
    if (!ids.has(id)) ids.set(id, `${prefix}-${ids.size}`);
    return ids.get(id) as string;
  };
  return svg
    .replace(/\bid="([^"]+)"/g, (_, id: string) => `id="${own(id)}"`)
    .replace(/url\(#([^)]+)\)/g, (_, id: string) => `url(#${own(id)})`);
}

/** Two decimals are finer than any screen, and halve the size of a chart. */
function rounded(svg: string): string {
  return svg.replace(/ (?:d|transform|[xy][12]?|width|height)="[^"]*"/g, (attribute) =>
    attribute.replace(/-?\d+\.\d{3,}(?!\d*e)/g, (number) => String(Math.round(Number(number) * 100) / 100)),
  );
}

const quiet = () => SILENT;
const SILENT = { level: quiet, error: quiet, warn: quiet, info: quiet, debug: quiet };

type Vega = typeof import("vega");
let loaded: Promise<{ compile: typeof import("vega-lite").compile; vega: Vega }> | undefined;

function load() {
  loaded ??= Promise.all([import("vega-lite"), import("vega")]).then(([{ compile }, vega]) => {
    measureText(vega);
    return { compile, vega };
  });
  return loaded;
}

/** Without a canvas, Vega estimates the width of a text. The metrics of the bundled font are exact. */
function measureText(vega: Vega): void {
  const metrics = (vega as unknown as { textMetrics: { width: (item: Item, text: unknown) => number } }).textMetrics;
  metrics.width = ({ fontSize, fontWeight }, text) =>
    textWidth(String(text ?? ""), { size: fontSize ?? 11, bold: fontWeight === "bold" });
}

interface Item {
  fontSize?: number;
  fontWeight?: string | number;
}

function sizeOf(svg: string): { width: number; height: number } {
  const [, width = "1", height = "1"] = svg.match(/ width="([\d.]+)" height="([\d.]+)"/) ?? [];
  return { width: Number(width), height: Number(height) };
}
