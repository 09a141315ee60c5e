import { textWidth } from "../figures/font.ts";
import { rasterize } from "../figures/raster.ts";
import { colour, inLight } from "./palette.ts";

/** A chart in Vega-Lite, without what is the same in all. */
export type Panel = { title: string } & Record<string, unknown>;

/** What a figure is drawn of. */
export interface FigurePlan {
  /** Of its files. */
  name: string;
  title: string;
  caption: string;
  panels: readonly Panel[];
  /** Panels side by side in the files; on the page there are as many as fit. */
  columns: number;
  /** Only in the files: what stands on the page as text. */
  key?: Panel;
}

/** A figure of the page, and as files. */
export interface DrawnFigure {
  name: string;
  title: string;
  caption: string;
  /** One SVG a panel, in the colours of the page's theme. */
  panels: { title: string; svg: string; width: number }[];
  svg: string;
  png: Uint8Array;
}

const CONFIG = {
  aria: false,
  background: null,
  font: "DejaVu Sans, sans-serif",
  view: { stroke: null },
  axis: {
    ...{
      labelColor: colour("soft"),
      titleColor: colour("soft"),
      gridColor: colour("line"),
      domainColor: colour("soft"),
    },
    ...{ tickColor: colour("soft"), labelFontSize: 11, titleFontSize: 11, titleFontWeight: "normal", labelLimit: 150 },
    ...{ labelFlush: false, labelOverlap: "greedy", labelSeparation: 4 },
  },
  title: { color: colour("ink"), fontSize: 12, anchor: "start", offset: 8 },
  legend: {
    ...{ labelColor: colour("ink"), titleColor: colour("soft"), labelFontSize: 11, labelLimit: 260 },
    ...{ orient: "bottom", direction: "horizontal", columns: 3, symbolSize: 70 },
  },
  text: { color: colour("ink"), fontSize: 11 },
};

/** Draws figures by Vega-Lite, which is loaded at the first. The same plan gives the same bytes. */
export async function drawFigure(plan: FigurePlan): Promise<DrawnFigure> {
  const panels = [];
  for (const { title, ...panel } of plan.panels) {
    const described = `${plan.title}: ${title}`;
    const svg = labelled(await render(panel, plan.name, panels.length), described);
    panels.push({ title, svg, width: sizeOf(svg).width });
  }
  const named = plan.panels.length > 1 ? plan.panels : plan.panels.map(({ title: _, ...panel }) => panel);
  const parts = plan.key === undefined ? named : [...named, plan.key];
  const whole = { concat: parts, columns: plan.columns, spacing: 28, title: { text: plan.title, fontSize: 14 } };
  const drawn = inLight(labelled(await render(whole, plan.name, parts.length), plan.title));
  const { name, title, caption } = plan;
  return { name, title, caption, panels, svg: drawn, png: rasterize(drawn, sizeOf(drawn)) };
}

async function render(spec: object, name: string, part: number): Promise<string> {
  const { compile, vega } = await load();
  const full = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", padding: 6, ...spec, config: CONFIG };
  const view = new vega.View(vega.parse(compile(full as never, { logger: SILENT as never }).spec), {
    renderer: "none",
    logLevel: vega.Error,
  });
  try {
    const svg = await view.toSVG();
    // Vega counts its ids through the whole process; on a page they must differ, and a report must not depend on what came before.
    const ids = new Map<string, string>();
    const own = (id: string) => {
      if (!ids.has(id)) ids.set(id, `${name}-${part}-${ids.size}`);
      return ids.get(id) as string;
    };
    return svg
      .replace(/ (?:role|aria-[a-z]+)="[^"]*"/g, "") // of parts, which say less than the name of the whole
      .replace(/\bid="([^"]+)"/g, (_, id: string) => `id="${own(id)}"`)
      .replace(/url\(#([^)]+)\)/g, (_, id: string) => `url(#${own(id)})`);
  } finally {
    view.finalize();
  }
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

/** Without a canvas Vega guesses how wide a text is; the bundled font knows. */
function measureText(vega: Vega): void {
  const metrics = (vega as unknown as { textMetrics: { width: (item: Item, text: unknown) => number } }).textMetrics;
  metrics.width = ({ fontSize, fontWeight }, text) =>
    textWidth(String(text ?? ""), { size: fontSize ?? 11, bold: fontWeight === "bold" });
}

interface Item {
  fontSize?: number;
  fontWeight?: string | number;
}

/** An image with a name, for who cannot see it. */
function labelled(svg: string, title: string): string {
  const text = title.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
  return svg.replace(/^<svg /, `<svg role="img" aria-label="${text}" `);
}

function sizeOf(svg: string): { width: number; height: number } {
  const [, width = "1", height = "1"] = svg.match(/ width="([\d.]+)" height="([\d.]+)"/) ?? [];
  return { width: Number(width), height: Number(height) };
}
