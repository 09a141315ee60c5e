// Draws ratios of times as a bar chart, with a group for each kind of processor and a line at 1.
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
  eager: "#6b7684",
  compile: "#b9c1cb",
};
const PAGE = { width: 860, margin: 28, label: 300, value: 90 };
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
/**
 * @param {{ title: string, subtitle: string, footer: string, groups: readonly BarGroup[] }} content
 * @returns {{svg: string, png: Buffer}}
 */
export function barFigure({ title, subtitle, footer, groups }) {
  const parts = [];
  let y = HEADER;
  const most = Math.max(1, ...groups.flatMap(({ bars }) => bars.map(({ times }) => times)));
  for (const group of groups) {
    parts.push(groupMarkup(group, y, most));
    y += GROUP.title + group.bars.length * (BAR.height + BAR.gap) + GROUP.gap;
  }
  const height = y - GROUP.gap + FOOTER + 14;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${PAGE.width}" height="${height}" viewBox="0 0 ${PAGE.width} ${height}" font-family="DejaVu Sans, Verdana, sans-serif" role="img" aria-labelledby="title">
<title id="title">${escaped(title)}</title>
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
 * @param {number} most the longest bar of all groups
 */
function groupMarkup({ title, bars }, top, most) {
  const left = PAGE.margin + PAGE.label;
  const room = PAGE.width - PAGE.margin - PAGE.value - left;
  /** @param {number} times */
  const across = (times) => (times / most) * room;
  const rule = `<line x1="${PAGE.margin}" x2="${PAGE.width - PAGE.margin}" y1="${top + 2}" y2="${top + 2}" stroke="${INK.line}"/>`;
  const first = top + GROUP.title;
  const rows = bars.map((bar, i) => barMarkup(bar, { left, y: first + i * (BAR.height + BAR.gap), across }));
  const ours = round(left + across(1));
  const bottom = first + bars.length * (BAR.height + BAR.gap);
  const line = `<line x1="${ours}" x2="${ours}" y1="${first - 4}" y2="${bottom - 4}" stroke="${INK.ours}" stroke-width="2"/>`;
  return [rule, write(title, { x: PAGE.margin, y: top + 21, size: 13.5, bold: true }), ...rows, line].join("\n");
}

/** @param {number} length */
const round = (length) => Number(length.toFixed(1));

/**
 * @param {Bar} bar
 * @param {{ left: number, y: number, across: (times: number) => number }} place
 */
function barMarkup({ label, kind, times }, { left, y, across }) {
  const base = y + BAR.height / 2 + 4.5;
  return [
    write(label, { x: left - 12, y: base, anchor: "end" }),
    `<rect x="${left}" y="${y}" width="${round(across(times))}" height="${BAR.height}" rx="2" fill="${INK[kind]}"/>`,
    write(`${times.toFixed(2)} times`, { x: round(left + across(Math.max(times, 1)) + 8), y: base }),
  ].join("");
}

/** @param {string} svg */
function rasterize(svg) {
  /** @type {import("@resvg/resvg-js").ResvgRenderOptions["font"]} */
  const font = { loadSystemFonts: false, fontFiles: FONTS, defaultFontFamily: "DejaVu Sans" };
  return new Resvg(svg, { background: "#ffffff", fitTo: { mode: "zoom", value: 2 }, font }).render().asPng();
}
