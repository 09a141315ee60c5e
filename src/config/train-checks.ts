import type { z } from "zod";
import { expectNumber, objectOf } from "../arguments.ts";
import { counted } from "../counted.ts";
import { FEATURES, type Features, ownersOf } from "./features.ts";
import { normalizationFault } from "./normalization.ts";
import type { ParsedTrainConfig, TrainConfig } from "./train-fields.ts";

type Report = (key: keyof ParsedTrainConfig, message: string) => void;

/** The checks that involve several keys. They run after every key has been checked by itself. */
export const checkTogether =
  (features: Features) =>
  (config: ParsedTrainConfig, context: z.core.$RefinementCtx): void => {
    if (context.issues.length > 0) return;
    const report: Report = (key, message) => {
      context.addIssue({ code: "custom", path: [key], message });
    };
    checkOptimizer(config, report, features.optimizers);
    checkGuidance(config, report, features.datasets);
    checkRun(config, report);
    const fault = normalizationFault(config);
    if (fault !== null) report(...fault);
  };

/** Upper bound on the number of images in a step. */
const MOST_IMAGES = 2 ** 31 - 1;

function checkOptimizer(config: ParsedTrainConfig, report: Report, optimizers: Features["optimizers"]): void {
  const { opt, nesterov, momentum, minLr, lr, batchSize, gradAccumSteps } = config;
  for (const [option, owners] of ownersOf(optimizers)) {
    const key = option as keyof ParsedTrainConfig;
    // A flag of another optimizer is a mistake. Its numbers are not checked, because their defaults are always present.
    if (config[key] === true && !owners.includes(opt))
      report(key, `false with opt "${opt}" (it belongs to ${owners.join(", ")})`);
  }
  if (nesterov && opt === "sgd" && momentum === 0) report("momentum", "above 0 with nesterov");
  if (batchSize * gradAccumSteps > MOST_IMAGES) report("gradAccumSteps", `at most ${MOST_IMAGES} over batchSize`);
  if (minLr > lr) report("minLr", `at most lr (${lr})`);
}

/** With a smaller mixup, Beta(mixup, mixup) gives only 0 and 1 in floating point. */
const LEAST_MIXUP = 0.001;

function checkGuidance(config: ParsedTrainConfig, report: Report, datasets: Features["datasets"]): void {
  const { plain, lambdaPrototype = 0, lambdaBatch, prototypes, statistic, dataset } = config;
  if (plain && lambdaPrototype > 0) report("lambdaPrototype", "0 or left out with plain");
  if (plain && lambdaBatch > 0) report("lambdaBatch", "0 or left out with plain");
  if (prototypes !== "class" && statistic === "cam-ema")
    report("prototypes", '"class" with statistic "cam-ema", whose prototypes are running maps');
  const decoy = datasets.some(({ name, options }) => name === dataset && "decoyVariant" in options);
  if (prototypes === "clean" && !decoy)
    report("prototypes", `another with dataset "${dataset}" (clean prototypes exist only for decoy sets)`);
  const guided = !plain && (config.lambdaPrototype ?? 1) + lambdaBatch > 0;
  if (config.mixup > 0 && config.mixup < LEAST_MIXUP) report("mixup", `0, or from ${LEAST_MIXUP} to 1`);
  if (config.mixup > 0 && guided) report("mixup", "0 with guidance: the map of a mixed image has no class (add plain)");
  if (config.mixup > 0 && config.baseline !== undefined)
    report("mixup", "0 with a baseline, whose masks belong to single images");
}

function checkRun(config: ParsedTrainConfig, report: Report): void {
  const { resume, overwrite, experiment, fastDevRun, acceptNewData, deterministic } = config;
  if (acceptNewData && resume === false)
    report("acceptNewData", "false without resume (a new run uses the present data)");
  if (acceptNewData && deterministic)
    report("acceptNewData", "false with deterministic (other images give other results)");
  if (resume !== false && fastDevRun)
    report("fastDevRun", "false with resume (it starts from the beginning each time)");
  if (resume !== false && overwrite) report("overwrite", "false with resume (one keeps the run, the other deletes it)");
  if (typeof resume !== "string") return;
  const name = splitRunDirectory(resume).experiment;
  if (name === "" || name === "." || name === "..") report("resume", 'a run directory such as "runs/my-run"');
  else if (experiment !== undefined && experiment !== name)
    report("experiment", `"${name}" or left out with resume "${resume}"`);
}

/** Splits a run directory such as `runs/a/b/` into the folder `runs/a` and the name `b`. */
export function splitRunDirectory(directory: string): { output: string; experiment: string } {
  const trimmed = directory.replace(/\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  if (slash < 0) return { output: ".", experiment: trimmed };
  return { output: trimmed.slice(0, slash) || "/", experiment: trimmed.slice(slash + 1) };
}

/**
 * Warnings about settings that are allowed but rarely intended. The trainer emits them before the first step.
 *
 * @param steps number of steps of the run
 */
export function configWarnings(config: TrainConfig, steps: number): string[] {
  objectOf("configWarnings: config", config);
  expectNumber("configWarnings: steps", steps);
  return [...guidanceWarnings(config, steps), ...otherWarnings(config, steps)];
}

function guidanceWarnings(config: TrainConfig, steps: number): string[] {
  const { lambdaPrototype, lambdaBatch, batchTarget, statistic, plain, prototypes } = config;
  const warnings: string[] = [];
  if (config.sampler === "balanced" && config.classWeights === "balanced")
    warnings.push(
      "sampler balanced and classWeights balanced both compensate for unequal classes: together they do it twice",
    );
  if (plain && prototypes !== "class")
    warnings.push(`prototypes ${prototypes} is not used with plain: no map is guided`);
  const batchMean = lambdaBatch > 0 && batchTarget === "batch-mean";
  if (batchMean && lambdaPrototype === 0) {
    warnings.push(
      'batchTarget "batch-mean" without the Prototype Loss collapses to dead maps: set lambdaPrototype above 0, or batchTarget "prototype"',
    );
  } else if (batchMean && lambdaBatch > lambdaPrototype / 4) {
    warnings.push(
      `batchTarget "batch-mean" leads to dead maps if its weight is large: lambdaBatch ${lambdaBatch} is above a quarter of lambdaPrototype ${lambdaPrototype}`,
    );
  }
  const { guideEvery } = config;
  if (!plain && typeof guideEvery === "number" && guideEvery > steps) {
    warnings.push(
      `guideEvery ${guideEvery} is more than the run's ${counted(steps, "step")}, so that no map is guided: lower it, or leave it out`,
    );
  }
  if (statistic === "cam-ema" && lambdaPrototype + lambdaBatch > 0) {
    warnings.push(
      'statistic "cam-ema" compares maps with their own running mean, which dead maps match as well: watch the share of dead maps',
    );
  }
  return warnings;
}

function otherWarnings(config: TrainConfig, steps: number): string[] {
  const { sched, warmupSteps, minLr, plain, lambdaWarmup, weights, weightsKey } = config;
  const warnings: string[] = [];
  if (weightsKey !== undefined && weights === undefined) warnings.push("weightsKey is not used without weights");
  const schedule = FEATURES.schedules.find(({ name }) => name === sched);
  if (schedule?.ownWarmup && warmupSteps > 0)
    warnings.push(`warmupSteps is not used with sched ${sched}, which has its own warm-up`);
  if (schedule !== undefined && !("minLr" in schedule.options) && minLr > 0)
    warnings.push(`minLr is not used with sched ${sched}`);
  if (!plain && lambdaWarmup !== undefined && lambdaWarmup > steps) {
    const share = Math.round((100 * steps) / lambdaWarmup);
    warnings.push(
      `lambdaWarmup ${lambdaWarmup} is longer than the run's ${counted(steps, "step")}: the maps are guided by at most ${share} % of the weight; if you leave it out, it is a third of the steps, at most 150`,
    );
  }
  return warnings;
}
