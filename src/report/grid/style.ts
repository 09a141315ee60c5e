import { STYLE } from "../page/style.ts";

/** The style sheet of all reports, with the rules that only a comparison needs. */
export const GRID_STYLE = `${STYLE}
body { max-width: 76rem; }
.scroll { position: relative; overflow-x: auto; margin: .5rem 0 .25rem; overscroll-behavior-x: contain; scrollbar-width: thin; scrollbar-color: var(--muted) transparent;
  background: linear-gradient(to left, var(--paper), var(--paper)) right / 3rem 100% local no-repeat, linear-gradient(to left, var(--rule), transparent) right / 1.5rem 100% scroll no-repeat; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 3px; border-radius: 2px; }
.compare { width: auto; min-width: 100%; font-size: .9375rem; }
.compare th, .compare td { padding: .35rem .9rem .35rem 0; white-space: nowrap; }
.compare tr > :last-child { padding-right: 0; }
.compare tbody th[scope=row] { position: sticky; left: 0; z-index: 1; background: var(--paper); }
.compare .group span { position: sticky; left: 0; }
.compare .group th { padding-top: 1.1rem; border-bottom-color: var(--muted); font-weight: 600; }
.kind { margin-left: .35em; font-size: .8125rem; color: var(--muted); }
.kind-mark { vertical-align: -.05em; }
.kinds { margin: 1rem 0 0; }
.findings { max-width: 60rem; padding-left: 0; list-style: none; font-size: .9375rem; }
.findings li { margin: 0 0 .4rem; padding-left: 1.3rem; text-indent: -1.3rem; }
.numbers { color: var(--muted); }
h4 { margin: 1.5rem 0 .25rem; font-size: .9375rem; }
.cue { max-width: 60rem; padding: .6rem .9rem; border-left: 3px solid var(--muted); background: var(--panel); }
.lead { max-width: 60rem; }
header .note { margin-bottom: 1rem; }
#summary > p { max-width: 60rem; }
.figure { margin: 1.75rem 0 2.25rem; }
.figure > figcaption, .pictures > figcaption { max-width: 60rem; color: var(--muted); font-size: .875rem; line-height: 1.45; }
.figure > figcaption strong { color: var(--text); font-size: 1rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--panel, 20rem)), max-content)); gap: 1.25rem 1.5rem; align-items: start; margin-top: .75rem; }
.panels > .key:not(.numbered) { grid-column: 1 / -1; }
.panel { margin: 0; max-width: 100%; overflow-x: auto; }
.panel > figcaption { font-size: .875rem; font-weight: 600; }
.panel .chart { width: auto; max-width: 100%; }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .75rem 0 0; padding: 0; font-size: .875rem; list-style: none; }
.key.numbered { display: block; }
.key li { display: flex; align-items: center; gap: .45rem; }
.key .n { min-width: 1.4em; text-align: right; font-variant-numeric: tabular-nums; color: var(--muted); }
.pictures { margin: 1.25rem 0 2rem; }
.failures { font-size: .9375rem; }
.failures li { margin-bottom: .35rem; overflow-wrap: anywhere; }
@media (max-width: 44rem) {
  .compare { font-size: .875rem; }
  .compare tbody th[scope=row] { min-width: 8.5rem; max-width: 10.5rem; white-space: normal; }
}
@media print {
  .scroll { overflow: visible; }
  .compare { font-size: 7.5pt; }
  .compare th, .compare td { padding-right: .5rem; white-space: normal; }
  .compare tbody th[scope=row] { position: static; }
  .figure, .compare tbody { break-inside: auto; }
  .panel { break-inside: avoid; }
  h3, .figure > figcaption { break-after: avoid; }
}
`;
