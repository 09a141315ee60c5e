import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { BatchCamError } from "../../errors.ts";
import { RUN_EXIT, type RunJob, type RunProgress, STOP } from "./run-protocol.ts";

/** How a run's process ended. `why` describes a crash in words. */
export type ChildEnding = { how: keyof typeof RUN_EXIT } | { how: "crashed"; why: string };

export interface ChildOptions {
  /** Aborting it stops the process after a checkpoint. */
  signal: AbortSignal;
  onProgress: (progress: RunProgress) => void;
  /** The program to run; tests replace it. */
  program?: string | undefined;
}

const PROGRAM = fileURLToPath(new URL("./run-process.js", import.meta.url));
/** The number of characters of a crashed process's last output that are kept. */
const LAST_WORDS = 600;

/** Trains a run in a separate process and returns how it ended. */
export async function runInChild(job: RunJob, { signal, onProgress, program }: ChildOptions): Promise<ChildEnding> {
  // Flags of the grid's own process, such as a debugger's port, are not passed to the runs.
  const child = fork(program ?? PROGRAM, [], { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [] });
  let words = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    words = (words + text).slice(-LAST_WORDS);
  });
  child.on("message", (message) => onProgress(message as RunProgress));
  const stop = () => say(child, STOP);
  // A grid that is ended at once, as by a second Ctrl-C, does not leave its runs behind.
  const end = () => void child.kill("SIGKILL");
  process.on("exit", end);
  signal.addEventListener("abort", stop);
  try {
    const closed = once(child, "close");
    say(child, job);
    if (signal.aborted) stop();
    const [code, killedBy] = (await closed) as [number | null, NodeJS.Signals | null];
    return endingOf(code, killedBy, words.trim());
  } catch (cause) {
    throw new BatchCamError("E_IO", `compare: cannot start a process for a run: ${(cause as Error).message}`, {
      cause,
    });
  } finally {
    process.off("exit", end);
    signal.removeEventListener("abort", stop);
  }
}

/** Sends a message. A process that has ended cannot receive it; its exit code is handled elsewhere. */
function say(child: ChildProcess, message: RunJob | typeof STOP): void {
  if (child.connected) child.send(message, () => {});
}

function endingOf(code: number | null, killedBy: NodeJS.Signals | null, words: string): ChildEnding {
  // The signal may arrive before the process has installed its handler.
  if (killedBy === "SIGINT" || killedBy === "SIGTERM" || killedBy === "SIGHUP") return { how: "stopped" };
  for (const [how, exit] of Object.entries(RUN_EXIT)) if (code === exit) return { how: how as keyof typeof RUN_EXIT };
  const end = killedBy === null ? `ended with code ${code}` : `was killed by ${killedBy}`;
  const memory = killedBy === "SIGKILL" ? " (the system does that if it runs out of memory: try fewer --jobs)" : "";
  return { how: "crashed", why: `its process ${end}${memory}${words === "" ? "" : `: ${words}`}` };
}
