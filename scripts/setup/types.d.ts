import type { Progress } from "./progress.mjs";

/** The context of every step of the set-up: the package's folder, the environment variables, and the progress to report to. */
export interface Context {
  root: string;
  env: NodeJS.ProcessEnv;
  progress: Progress;
}

/** One part of the set-up, with a check whether it is up to date. */
export interface Step {
  isFresh(context: Context): boolean;
  run(context: Context): Promise<void>;
}

/** A step that also needs the compiler. */
export interface BuildStep extends Step {
  isFresh(context: Pick<Context, "root" | "env">): boolean;
}

/** A step that only reads files. */
export interface FileStep extends Step {
  isFresh(context: Pick<Context, "root">): boolean;
}

export interface Compiler {
  path: string;
  /** Changes if the program behind the path changes. */
  identity: string;
}

export type LibtorchSource = "LIBTORCH" | "python3" | "cache";

export interface Libtorch {
  path: string;
  source: LibtorchSource;
  include: string;
  lib: string;
  /** The path of libtorch_cpu. */
  library: string;
  version: string;
}

export interface Python {
  executable: string;
  version: [major: number, minor: number];
  /** The folder of its torch package. */
  torch: string | null;
  pip: boolean;
}

/** The content of a lock's file: the process that holds the lock. */
export interface Holder {
  pid: number;
  machine: string;
  start: string | null;
  /** A process that the holder started, which may outlive it. */
  helper?: { pid: number; start: string | null };
  released?: boolean;
}

/** The newest file of a lock; the number is 0 if the lock was never taken. */
export interface LockFile {
  number: number;
  file: string;
  content: Holder | null;
}

export interface Toolchain {
  libtorch: Libtorch;
  compiler: Compiler;
  env: NodeJS.ProcessEnv;
}

/** The parts of the toolchain that decide whether a cached addon can be used. */
export interface ToolchainMarks {
  libtorch: Pick<Libtorch, "path" | "lib" | "library" | "version">;
  compiler: Pick<Compiler, "identity">;
  env: NodeJS.ProcessEnv;
}
