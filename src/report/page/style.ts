import { COLOUR_STYLE } from "./colours.ts";

/** The style sheet of all reports: light or dark as the reader has set it, one column on a phone, and light on paper. */
export const STYLE = `${COLOUR_STYLE}* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 68rem; padding: 2.5rem 1.5rem 4rem; background: var(--paper); color: var(--text);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { margin: 0 0 .75rem; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.01em; text-wrap: balance; }
h2 { margin: 3rem 0 1rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); font-size: 1.3rem; line-height: 1.3; }
h3 { margin: 2rem 0 .5rem; font-size: 1rem; }
p { margin: 0 0 .75rem; max-width: 46rem; }
a { color: var(--link); text-underline-offset: .15em; }
a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .875em; }
pre { overflow-x: auto; margin: 0 0 .75rem; padding: .75rem 1rem; border-radius: 6px; background: var(--panel); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1.25rem 0 0; padding: 0; list-style: none; font-size: .9375rem; }
.summary { max-width: 46rem; font-size: 1.0625rem; text-wrap: pretty; }
.note, caption { color: var(--muted); font-size: .875rem; }
.note { margin: .5rem 0 0; max-width: 52rem; }

table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { padding-bottom: .5rem; text-align: left; }
th, td { padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: baseline; }
thead th { border-bottom: 2px solid var(--rule); font-size: .875rem; font-weight: 600; color: var(--muted); }
tbody th { font-weight: 400; }
.results { max-width: 54rem; }
.results .difference.number { padding-right: 9.5rem; }
.number { text-align: right; white-space: nowrap; }
.number:last-child { padding-right: 0; }
.arrow { color: var(--muted); }
.verdict { display: inline-block; min-width: 9.5rem; padding-left: .5rem; font-size: .8125rem; text-align: left; color: var(--muted); }
.verdict.better { color: var(--good); }
.verdict.worse { color: var(--bad); }

.gallery {
  display: grid; grid-auto-flow: column; gap: 6px; align-items: start; margin: 0 0 1.25rem;
  grid-template-rows: auto repeat(var(--strips), auto);
  grid-template-columns: 7rem repeat(var(--samples), minmax(0, 96px));
}
.gallery > [role=row] { display: contents; }
.gallery [role=columnheader] { align-self: center; padding-right: .5rem; font-size: .875rem; line-height: 1.25; color: var(--muted); }
.gallery [role=rowheader] { align-self: end; text-align: center; font-size: .875rem; line-height: 1.2; overflow-wrap: anywhere; }
.gallery .corner { visibility: hidden; }
.gallery.large { overflow-x: auto; grid-template-columns: minmax(6rem, 9rem) repeat(var(--samples), 72px); scrollbar-width: thin; scrollbar-color: var(--muted) transparent; }
.gallery.large [role=columnheader] { position: sticky; left: 0; z-index: 2; align-self: stretch; display: flex; align-items: center; background: var(--paper); overflow-wrap: anywhere; font-size: .8125rem; }
.gallery.large:focus-visible { outline: 2px solid var(--link); outline-offset: 3px; border-radius: 2px; }
.no-picture { color: var(--muted); }
.picture { position: relative; display: block; overflow: hidden; outline: 1px solid var(--rule); outline-offset: -1px; }
.picture img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.picture.dead::after, .swatch.dead {
  background:
    linear-gradient(to top right, transparent calc(50% - .6px), #ffffffa8 calc(50% - .6px) calc(50% + .6px), transparent calc(50% + .6px)),
    linear-gradient(to bottom right, transparent calc(50% - .6px), #ffffffa8 calc(50% - .6px) calc(50% + .6px), transparent calc(50% + .6px));
}
.picture.dead::after { content: ""; position: absolute; inset: 0; }
.picture.dead::before {
  content: "dead"; position: absolute; z-index: 1; inset: auto 0 4px; width: max-content; margin: auto; padding: 0 .4em;
  border: 1px solid #ffffffa8; border-radius: 3px; background: #1b1f24; color: #fff; font-size: .6875rem; line-height: 1.4;
}
.picture.wrong { outline: 3px solid var(--warning); outline-offset: -3px; }
.read-as { display: block; margin-top: 2px; font-size: .75rem; line-height: 1.2; text-align: center; color: var(--warning); overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1.75rem; max-width: none; font-size: .875rem; color: var(--muted); }
.legend > span { display: inline-flex; align-items: center; gap: .5rem; }
.scale img { width: 10rem; height: .75rem; outline: 1px solid var(--rule); }
.swatch { width: 1.1rem; height: 1.1rem; flex: none; text-align: center; line-height: 1rem; font-weight: 700; }
.swatch.dead { background-color: #000004; }
.swatch.wrong { border: 2px solid var(--warning); color: var(--warning); line-height: .8rem; }

.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18.5rem), 1fr)); gap: 1.5rem 1.75rem; margin-top: 1rem; }
.charts figure { margin: 0; }
.charts figcaption { margin-bottom: .25rem; font-size: .875rem; line-height: 1.4; color: var(--muted); }
.charts figcaption strong { color: var(--text); }
.charts b { font-variant-numeric: tabular-nums; }
.charts .plain { margin-right: .75rem; color: var(--line-1); }
.charts .guided { color: var(--line-2); }
.chart { display: block; width: 100%; height: auto; font-family: inherit; }
.line-sample { flex: none; }

.wide { overflow-x: auto; margin-bottom: 1rem; }
.epochs th, .epochs td { white-space: nowrap; padding-right: 1rem; }

.definitions { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1.5rem 2.5rem; margin: 0; }
.definitions > div { scroll-margin-top: 1rem; border-radius: 4px; }
.definitions > div:target { box-shadow: 0 0 0 .5rem var(--mark); background: var(--mark); }
dt { font-weight: 600; }
dd { margin: .125rem 0 0; }
dd p { margin-bottom: .25rem; }
.formula { overflow-x: auto; overflow-y: hidden; padding: .35rem 0; font-size: 1.0625rem; }
#about-map, #about-mapSsim, #about-loss { grid-column: 1 / -1; }

.settings { table-layout: fixed; font-size: .9375rem; }
.settings td, .settings th { padding-top: .3rem; padding-bottom: .3rem; overflow-wrap: anywhere; }
.differing { background: var(--mark); }
.differing th { font-weight: 600; }
.differs { padding: 0 .4em; border: 1px solid currentColor; border-radius: 3px; font-size: .75rem; font-weight: 400; color: var(--muted); }

@media (max-width: 44rem) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  h2 { margin-top: 2.25rem; }
  .summary { font-size: 1rem; }
  th, td { padding-right: .5rem; }
  .results .difference.number { padding-right: 0; }
  .results { font-size: .875rem; }
  .results .verdict { display: block; min-width: 0; padding: 0; text-align: right; white-space: normal; line-height: 1.2; }
  .gallery:not(.large) {
    grid-auto-flow: row; grid-template-rows: none;
    grid-template-columns: minmax(1.25rem, max-content) repeat(var(--strips), minmax(0, 104px));
  }
  .gallery:not(.large) [role=columnheader] { align-self: end; padding: 0; font-size: .75rem; text-align: center; }
  .gallery:not(.large) [role=rowheader] { align-self: center; max-width: 4.5rem; }
  .gallery.large { grid-template-columns: minmax(5.2rem, 5.6rem) repeat(var(--samples), 56px); }
  #about-map, #about-mapSsim, #about-loss { grid-column: auto; }
  .formula { font-size: .9375rem; }
}
@media print {
  @page { margin: 16mm; }
  html { font-size: 80%; }
  body { max-width: none; padding: 0; }
  nav { display: none; }
  a { color: inherit; text-decoration: none; }
  h2, h3, h3 + .note, h2 + p { break-after: avoid; }
  p { break-inside: avoid; }
  figure, tr, .results, .gallery, .definitions > div { break-inside: avoid; }
  .picture, .picture::after, .picture::before, .swatch, .differing { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .charts { grid-template-columns: repeat(3, 1fr); }
  .gallery.large { overflow: visible; grid-template-columns: 26mm repeat(var(--samples), 11mm); }
}
`;
