import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { BatchCamError } from "../../errors.ts";
import { CELL_EXIT, type CellJob, type CellProgress, STOP } from "./cell-protocol.ts";

/** How a cell's process ended; `why` says in words how one broke off that should not have. */
export type ChildEnding = { how: keyof typeof CELL_EXIT } | { how: "crashed"; why: string };

export interface ChildOptions {
  /** Aborting it ends the process with a checkpoint. */
  signal: AbortSignal;
  onProgress: (progress: CellProgress) => void;
  /** The program; tests give their own. */
  program?: string | undefined;
}

const PROGRAM = fileURLToPath(new URL("./cell-process.js", import.meta.url));
/** Characters of a broken process's last words that are kept. */
const LAST_WORDS = 600;

/** Runs a cell in a process of its own, and tells how that ended. */
export async function runInChild(job: CellJob, { signal, onProgress, program }: ChildOptions): Promise<ChildEnding> {
  // The grid's own flags, such as a debugger's port, are not the cells'.
  const child = fork(program ?? PROGRAM, [], { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [] });
  let words = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    words = (words + text).slice(-LAST_WORDS);
  });
  child.on("message", (message) => onProgress(message as CellProgress));
  const stop = () => say(child, STOP);
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
    signal.removeEventListener("abort", stop);
  }
}

/** A process that is gone hears nothing; its ending tells. */
function say(child: ChildProcess, message: CellJob | typeof STOP): void {
  if (child.connected) child.send(message, () => {});
}

function endingOf(code: number | null, killedBy: NodeJS.Signals | null, words: string): ChildEnding {
  // Ctrl-C may come before the process listens for it.
  if (killedBy === "SIGINT" || killedBy === "SIGTERM" || killedBy === "SIGHUP") return { how: "stopped" };
  for (const [how, exit] of Object.entries(CELL_EXIT)) if (code === exit) return { how: how as keyof typeof CELL_EXIT };
  const end = killedBy === null ? `ended with code ${code}` : `was killed by ${killedBy}`;
  const memory = killedBy === "SIGKILL" ? " (the system does that where memory runs out: try fewer --jobs)" : "";
  return { how: "crashed", why: `its process ${end}${memory}${words === "" ? "" : `: ${words}`}` };
}
