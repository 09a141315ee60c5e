import type { TrainConfigInput } from "batch-cam/config";
import type { DistanceName } from "batch-cam/losses";
import type { ModelName, ModelOptions } from "batch-cam/models";
import type { Patience } from "./machine.mjs";

/** A median with its spread. */
export interface Spread {
  median: number;
  low: number;
  high: number;
}

export type PartName = typeof import("./plan.mjs").PARTS[number];

export type NetworkKey =
  | "simple-cnn"
  | "resnet18"
  | "convnextv2_atto"
  | "resnet18-64"
  | "convnextv2_atto-64"
  | "resnet18-224"
  | "convnextv2_atto-224"
  | "convnextv2_tiny-224";

/** A network, its images (channels, height, width) and the size of its batches. */
export interface NetworkSpec {
  title: string;
  model: ModelName;
  options: ModelOptions;
  image: readonly [number, number, number];
  batch: number;
  /** Steps of a block. */
  steps: number;
}

/** The computation of a step: a loss, or "inference" for a forward pass. */
export interface Variant {
  objective: string;
  distance: DistanceName;
}

/** A request to a side. */
export interface Request {
  spec: NetworkSpec;
  layer: string;
  state: string;
  threads: number;
  warmup: number;
  steps: number;
  variants: Variant[];
  config?: string;
}

/** A request for the file that all sides start from. */
export interface MakeRequest {
  threads: number;
  make: { spec: NetworkSpec; state: string };
}

/** A request for steps of the trainer. */
export interface TrainRequest {
  threads: number;
  train: { config: TrainConfigInput; steps: number };
}

/** A side's answer. Each list has an entry for each variant. */
export interface Answer {
  seconds: number[][];
  firstLoss: number[];
  buildSeconds: number[];
  cpuSeconds: number;
  peakRssMiB: number;
}

/** The options that the trainer chose for a network. */
export interface Chosen {
  modelOptions: ModelOptions;
  camLayer: string;
  mapSize: readonly [number, number];
  precision: string;
  batch: number;
}

export interface Layers {
  /** The result of `defaultCamLayer`. */
  default: string;
  last: string;
}

/** The message of a side when it has started. */
export interface Hello {
  libtorch: string;
  torch: string;
  fastBfloat16: boolean;
  peakRssMiB: number;
}

/** A process that takes training steps on request. */
export interface Side {
  hello: Hello;
  /** A `Request`, or that of another program. */
  ask(request: object): Promise<Answer>;
  make(request: MakeRequest): Promise<{ layers: Layers }>;
  train(request: TrainRequest): Promise<Answer & { chosen: Chosen }>;
  stop(): Promise<void>;
}

/** A kind of peer: its title and its configurations. */
export interface PeerKind {
  title: string;
  configs: string[];
  env?: Record<string, string>;
  /** The kind whose configuration it takes. */
  follows?: string;
}

/** The result of trying a configuration. */
export interface Tried {
  ms: number;
  busy: boolean;
}

/** A side in its fastest configuration. */
export interface RunningPeer {
  kind: string;
  title: string;
  config: string;
  side: Side;
}

/** The rows of a network or of a part. */
export interface Measured {
  rows: Row[];
  busy: boolean;
  versions: { libtorch: string; torch: string };
}

/** Settings shared by all measurements. */
export interface Context {
  python: string;
  folder: string;
  threads: number;
  rounds: number;
  /** Whether to measure only the essential of a part, in a minute or two. */
  quick: boolean;
  /** The networks to measure; all of the part by default. */
  only: readonly string[] | undefined;
  /** The length of a block; by default each network has its own. */
  steps: number | undefined;
  patience: Patience;
  say(line: string): void;
}

/** The sides, the configuration of each, and the request that they get. */
export interface Asking {
  sides: Record<string, Side>;
  configs: Record<string, string>;
  request: Request;
}

/** One round: the answers by side, and the largest share of the machine that other programs used. */
export interface Round {
  answers: Record<string, Answer>;
  others: number;
  busy: boolean;
}

/** The number of undisturbed rounds. */
export interface Quiet {
  quiet: number;
  of: number;
  busy: boolean;
}

/** A measure of a case: the median of a ratio, of milliseconds or of seconds, with its spread if it is known. */
export interface Row {
  /** The network, or another subject: a key of `NETWORKS`, or "simple-cnn/default". */
  case: string;
  /** "eager-malloc", "guided/prototype/ssim" ...; bench/tables.mjs names them. */
  measure: string;
  median: number;
  low?: number;
  high?: number;
  /** The configuration of the other side, or of ours. */
  note?: string;
}

/** When, where and how a part was measured. */
export interface Taken {
  date: string;
  commit: string;
  machine: Machine;
  versions: { libtorch: string; torch: string };
  threads: number;
  rounds: number;
  /** Whether other programs used the machine in every round of some row; the numbers must not be quoted then. */
  busy: boolean;
  /** Remarks about results of earlier versions. */
  note?: string;
}

export interface Part {
  taken: Taken;
  rows: Row[];
}

/** The content of docs/benchmarks/<kind>.json. */
export interface Results {
  kind: string;
  title: string;
  parts: Partial<Record<PartName, Part>>;
  /** Results of earlier versions, by the label of their column. */
  before?: Record<string, Part>;
}

export type Machine = ReturnType<typeof import("./machine.mjs").describeMachine>;

/** A bar of a figure. */
export interface Bar {
  label: string;
  kind: string;
  /** Its length: a time relative to ours. */
  times: number;
}

export interface BarGroup {
  title: string;
  bars: Bar[];
}
