import type { Progress } from "./progress.mjs";

/** What every step of set-up works with: the folder of the package, the variables, and where it tells how far it is. */
export interface Context {
  root: string;
  env: NodeJS.ProcessEnv;
  progress: Progress;
}

/** One part of set-up: whether it is up to date, and how it is brought up to date. */
export interface Step {
  isFresh(context: Context): boolean;
  run(context: Context): Promise<void>;
}

/** A step that asks for the compiler too. */
export interface BuildStep extends Step {
  isFresh(context: Pick<Context, "root" | "env">): boolean;
}

/** A step that only looks at files. */
export interface FileStep extends Step {
  isFresh(context: Pick<Context, "root">): boolean;
}

export interface Compiler {
  path: string;
  /** Changes when the program behind the path does. */
  identity: string;
}

export type LibtorchSource = "LIBTORCH" | "python3" | "cache";

export interface Libtorch {
  path: string;
  source: LibtorchSource;
  include: string;
  lib: string;
  /** libtorch_cpu itself. */
  library: string;
  version: string;
}

export interface Python {
  executable: string;
  version: [major: number, minor: number];
  /** The folder of its torch. */
  torch: string | null;
  pip: boolean;
}

/** What a lock's file says of the process that holds it. */
export interface Holder {
  pid: number;
  machine: string;
  start: string | null;
  /** A process that it started, which may outlive it. */
  helper?: { pid: number; start: string | null };
  released?: boolean;
}

/** The newest file of a lock; number 0 if it was never taken. */
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

/** What of it decides whether a kept addon fits. */
export interface ToolchainMarks {
  libtorch: Pick<Libtorch, "path" | "lib" | "library" | "version">;
  compiler: Pick<Compiler, "identity">;
  env: NodeJS.ProcessEnv;
}
