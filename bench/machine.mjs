// Describes the machine, and measures how much other programs use it.
import { readFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const FLAGS = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"];
const TICKS = 100; // per second, the unit of /proc/stat
/** The share of the machine that other programs may use before a measurement counts as disturbed. */
export const LIMIT = 0.1;

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

export function describeMachine() {
  const flags = new Set(
    read("/proc/cpuinfo")
      .match(/^flags\s*:(.*)$/m)?.[1]
      ?.trim()
      .split(/\s+/),
  );
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    flags: FLAGS.filter((flag) => flags.has(flag)),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  };
}

export const load = () => loadavg()[0] ?? 0;

/** The CPU time so far, in seconds, that all cores have worked or that a hypervisor took from them. */
export function clock() {
  const worked = cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0) / 1000;
  const stolen = Number(read("/proc/stat").match(/^cpu\s+(?:\d+\s+){7}(\d+)/)?.[1] ?? 0) / TICKS;
  return { busy: worked + stolen, at: performance.now() / 1000 };
}

/**
 * The share of the machine that other programs used since `before`, if our side used `own` seconds.
 *
 * @param {{ busy: number, at: number }} before
 */
export function othersSince(before, own = 0) {
  const now = clock();
  return Math.max(0, (now.busy - before.busy - own) / ((now.at - before.at) * cpus().length));
}

/** Waits for a quiet machine and allows disturbed measurements to be repeated, for `seconds` in all. */
export class Patience {
  /** @param {number} seconds */
  constructor(seconds) {
    this.left = seconds;
  }

  async quiet() {
    for (;;) {
      const before = clock();
      await sleep(300);
      if (othersSince(before) <= LIMIT || this.left <= 0) return;
      await sleep(1000);
      this.spend(1.3);
    }
  }

  /**
   * Whether there is time to repeat a measurement that took so many seconds.
   *
   * @param {number} seconds
   */
  spend(seconds) {
    const enough = this.left > 0;
    this.left -= seconds;
    return enough;
  }
}
