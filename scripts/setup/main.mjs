import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { addon } from "./addon.mjs";
import { setupCommand } from "./command.mjs";
import { asFailure, SetupFailure } from "./failure.mjs";
import { withLock } from "./lock.mjs";
import { packages } from "./packages.mjs";
import { Progress } from "./progress.mjs";
import { typescript } from "./typescript.mjs";

/** @import { Context, Step } from "./types.d.ts" */

const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
/** @type {Step[]} */
const STEPS = [packages, addon, typescript];

/**
 * Brings a checkout up to date, whatever its state. If nothing needs to be done, it prints nothing and takes no lock.
 *
 * @param {Context} context
 */
export async function setUp(context) {
  if (process.platform === "win32") {
    throw new SetupFailure(
      "Windows is not supported",
      "run batch-cam in WSL 2 (Ubuntu, for example), which works like Linux",
    );
  }
  if (STEPS.every((step) => step.isFresh(context))) return;
  const { root, progress } = context;
  const update = async () => {
    for (const step of STEPS) {
      if (!step.isFresh(context)) await step.run(context);
    }
  };
  await withLock(join(root, "native/build/setup.lock"), update, {
    onWait: ({ pid }) => progress.note(`waiting for another set-up of this checkout (process ${pid})`),
  });
}

/**
 * The program: sets up the checkout or installation that contains it. On failure it prints the cause and the remedy.
 *
 * @returns the exit code
 * @param {{ root?: string, env?: NodeJS.ProcessEnv, sayWhenFresh?: boolean }} options
 */
export async function main({ root = ROOT, env = process.env, sayWhenFresh = false } = {}) {
  try {
    const progress = new Progress();
    await setUp({ root, env, progress });
    if (sayWhenFresh) progress.note("batch-cam is set up; `npx batch-cam doctor` says what was found");
    return 0;
  } catch (error) {
    if (env.BATCH_CAM_DEBUG === "1") process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    const { message, details, remedy } = asFailure(error);
    const indented = details && `${details.replace(/^/gm, "    ")}\n`;
    const said = `setup: ${message}\n${indented}  remedy: ${remedy}\n`;
    process.stderr.write(said.replaceAll("npm run setup", setupCommand()));
    return 1;
  }
}
