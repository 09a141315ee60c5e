// Draws training steps as a bar chart: a group with its own scale for each model, and a bar for each library.
import { createRequire } from "node:module";
import { Resvg } from "@resvg/resvg-js";

/** @import { Bar, BarGroup } from "./types.d.ts" */

const { resolve } = createRequire(import.meta.url);
const FONTS = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf"].map((name) => resolve(`dejavu-fonts-ttf/ttf/${name}`));
/** @type {Record<string, string> & { text: string, soft: string, line: string }} */
const INK = {
  text: "#1b1f24",
  soft: "#57606a",
  line: "#d8dee4",
  ours: "#0b6e4f",
  eager: "#8c96a3",
  compile: "#b9c1cb",
};
const PAGE = { width: 860, margin: 28, label: 250, value: 150 };
const BAR = { height: 20, gap: 8 };
const GROUP = { title: 30, gap: 26 };
const HEADER = 78;
const FOOTER = 30;

/** @param {string} text */
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
/**
 * @param {string} text
 * @param {{ x: number, y: number, size?: number, fill?: string, anchor?: string, bold?: boolean }} style
 */
const write = (text, { x, y, size = 12.5, fill = INK.text, anchor = "start", bold = false }) =>
  `<text x="${x}" y="${y}" font-size="${size}" fill="${fill}" text-anchor="${anchor}"${bold ? ' font-weight="bold"' : ""}>${escaped(text)}</text>`;
/** @param {number} ms */
const shownMs = (ms) => `${ms.toPrecision(3)} ms`;

/**
 * @param {{ title: string, subtitle: string, footer: string, groups: readonly BarGroup[] }} content the first bar of each group is ours
 * @returns {{svg: string, png: Buffer}}
 */
export function barFigure({ title, subtitle, footer, groups }) {
  const parts = [];
  let y = HEADER;
  for (const group of groups) {
    parts.push(groupMarkup(group, y));
    y += GROUP.title + group.bars.length * (BAR.height + BAR.gap) + GROUP.gap;
  }
  const height = y - GROUP.gap + FOOTER + 14;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${PAGE.width}" height="${height}" viewBox="0 0 ${PAGE.width} ${height}" font-family="DejaVu Sans, Verdana, sans-serif">
<rect width="100%" height="100%" fill="#ffffff"/>
${write(title, { x: PAGE.margin, y: 36, size: 18, bold: true })}
${write(subtitle, { x: PAGE.margin, y: 57, size: 11.5, fill: INK.soft })}
${parts.join("\n")}
${write(footer, { x: PAGE.margin, y: height - 18, size: 10.5, fill: INK.soft })}
</svg>
`;
  return { svg, png: rasterize(svg) };
}

/**
 * @param {BarGroup} group
 * @param {number} top
 */
function groupMarkup({ title, bars }, top) {
  const left = PAGE.margin + PAGE.label;
  const room = PAGE.width - PAGE.margin - PAGE.value - left;
  const most = Math.max(...bars.map(({ ms }) => ms.high));
  /** @param {number} ms */
  const across = (ms) => (ms / most) * room;
  const rule = `<line x1="${PAGE.margin}" x2="${PAGE.width - PAGE.margin}" y1="${top + 2}" y2="${top + 2}" stroke="${INK.line}"/>`;
  const rows = bars.map((bar, i) =>
    barMarkup(bar, { left, y: top + GROUP.title + i * (BAR.height + BAR.gap), across }),
  );
  return [rule, write(title, { x: PAGE.margin, y: top + 21, size: 13.5, bold: true }), ...rows].join("\n");
}

/**
 * @param {Bar} bar
 * @param {{ left: number, y: number, across: (ms: number) => number }} place
 */
function barMarkup({ label, kind, ms, note }, { left, y, across }) {
  const [middle, base] = [y + BAR.height / 2, y + BAR.height / 2 + 4.5];
  const ours = kind === "ours";
  const whisker = `<path d="M${left + across(ms.low)} ${middle}H${left + across(ms.high)}" stroke="${INK.text}" stroke-opacity="0.55" stroke-width="1.4"/>`;
  return [
    write(label, { x: left - 12, y: base, anchor: "end", bold: ours }),
    `<rect x="${left}" y="${y}" width="${across(ms.median)}" height="${BAR.height}" rx="2" fill="${INK[kind]}"/>`,
    ms.high > ms.low ? whisker : "",
    write(shownMs(ms.median), { x: left + across(Math.max(ms.median, ms.high)) + 8, y: base, bold: ours }),
    write(note, { x: PAGE.width - PAGE.margin, y: base, size: 11.5, fill: INK.soft, anchor: "end" }),
  ].join("");
}

/** @param {string} svg */
function rasterize(svg) {
  /** @type {import("@resvg/resvg-js").ResvgRenderOptions["font"]} */
  const font = { loadSystemFonts: false, fontFiles: FONTS, defaultFontFamily: "DejaVu Sans" };
  return new Resvg(svg, { background: "#ffffff", fitTo: { mode: "zoom", value: 2 }, font }).render().asPng();
}
