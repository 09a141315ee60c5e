export { INFERNO, type OverlayOptions, overlay } from "./colormap.ts";
export { type CurveSeries, type LineChartInput, lineChart } from "./curves.ts";
export type { DemoReportInput, DemoRun } from "./demo-input.ts";
export { renderDemoReport } from "./demo-report.ts";
export { camFigure, type Figure, type FigureInput, type FigureRow } from "./figure.ts";
export type { FigureCell } from "./figure-cell.ts";
export type { Picture } from "./picture.ts";
