import { counted } from "../../counted.ts";
import type { ModuleRecord, OperatorRecord, ProfileReport } from "../../profile/index.ts";
import type { ProfileEvent } from "../../train/index.ts";
import { formatTable } from "../table.ts";
import { percent } from "./progress-lines.ts";

/** The number of rows of the two long tables. */
const MOST = 20;

/** The lines of a profile on a terminal: three tables, and the files with the rest. */
export function profileLines({ report, path, tracePath }: ProfileEvent): string[] {
  const { steps, skipped, millisecondsPerStep, droppedEvents } = report;
  const times = `${counted(steps, "step")} after ${skipped} of warm-up`;
  const dropped = `${counted(droppedEvents, "event")} did not fit into the buffer, so operators and gradients took longer than shown: use fewer --profile-steps\n`;
  return [
    `\nprofile of ${times}: ${ms(millisecondsPerStep)} ms a step\n`,
    phaseTable(report),
    operatorTable(report),
    moduleTable(report.modules),
    ...(droppedEvents > 0 ? [dropped] : []),
    `profile: ${path}; trace, for ui.perfetto.dev or chrome://tracing: ${tracePath}`,
  ];
}

const ms = (value: number): string => value.toFixed(value < 0.1 ? 3 : 2);
const calls = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1));

function phaseTable({ phases }: ProfileReport): string {
  const rows = phases.map(({ name, milliseconds, share }) => [name, ms(milliseconds), percent(share)]);
  return formatTable(["phase", "ms/step", "share"], rows);
}

function operatorTable({ operators, outsideOperators, millisecondsPerStep }: ProfileReport): string {
  const row = ({ name, selfMilliseconds, totalMilliseconds, share, callsPerStep }: OperatorRecord) => [
    name,
    ...[ms(selfMilliseconds), ms(totalMilliseconds), percent(share), calls(callsPerStep)],
  ];
  const rest = operators.slice(MOST);
  const sum = (of: (operator: OperatorRecord) => number) => rest.reduce((total, operator) => total + of(operator), 0);
  const others = [
    `${counted(rest.length, "other")}`,
    ...[ms(sum((operator) => operator.selfMilliseconds)), "", percent(sum((operator) => operator.share))],
    calls(sum((operator) => operator.callsPerStep)),
  ];
  const outside = ["(in no operator)", ms(outsideOperators), "", percent(outsideOperators / millisecondsPerStep), ""];
  return formatTable(
    ["operator", "self ms/step", "total", "share", "calls"],
    [...operators.slice(0, MOST).map(row), ...(rest.length > 0 ? [others] : []), outside],
  );
}

function moduleTable(modules: readonly ModuleRecord[]): string {
  const row = (module: ModuleRecord) => [
    module.type === "" ? module.path : `${module.path} ${module.type}`,
    ...[module.forwardSelfMilliseconds, module.forwardMilliseconds].map(ms),
    ...[module.backwardSelfMilliseconds, module.backwardMilliseconds].map(ms),
    ...[percent(module.share), calls(module.callsPerStep)],
  ];
  return formatTable(
    ["module", "forward self ms/step", "total", "backward self", "total", "share", "calls"],
    modules.slice(0, MOST).map(row),
  );
}
