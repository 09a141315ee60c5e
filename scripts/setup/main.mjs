import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { addon } from "./addon.mjs";
import { asFailure, SetupFailure } from "./failure.mjs";
import { withLock } from "./lock.mjs";
import { packages } from "./packages.mjs";
import { Progress } from "./progress.mjs";
import { typescript } from "./typescript.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const STEPS = [packages, addon, typescript];

/** Brings a checkout up to date, whatever state it is in; silent and without a lock where nothing is to be done. */
export async function setUp(context) {
  if (process.platform === "win32") {
    throw new SetupFailure(
      "Windows is not supported",
      "run batch-cam in WSL 2 (Ubuntu, for example), where everything works as on Linux",
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

/** The program: sets up the checkout that it lies in, and on failure says the cause and the remedy and exits with 1. */
export async function main() {
  try {
    await setUp({ root: ROOT.replace(/\/$/, ""), env: process.env, progress: new Progress() });
  } catch (error) {
    if (process.env.BATCH_CAM_DEBUG === "1") process.stderr.write(`${error?.stack}\n`);
    const { message, details, remedy } = asFailure(error);
    const indented = details && `${details.replace(/^/gm, "    ")}\n`;
    process.stderr.write(`setup: ${message}\n${indented}  remedy: ${remedy}\n`);
    process.exitCode = 1;
  }
}
