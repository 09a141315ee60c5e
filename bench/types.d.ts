import type { DistanceName } from "batch-cam/losses";
import type { Patience } from "./machine.mjs";

/** A median with its spread. */
export interface Spread {
  median: number;
  low: number;
  high: number;
}

export type ModelKey = "simple-cnn" | "resnet18" | "convnextv2_atto";

/** The loss that a step computes. */
export interface Variant {
  objective: string;
  distance: DistanceName;
}

/** A request to a side. */
export interface Request {
  model: ModelKey;
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
  make: { model: ModelKey; batch: number; state: string };
}

/** A side's answer. Each list has an entry for each variant. */
export interface Answer {
  seconds: number[][];
  firstLoss: number[];
  buildSeconds: number[];
  cpuSeconds: number;
  peakRssMiB: number;
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
  ask(request: Request): Promise<Answer>;
  make(request: MakeRequest): Promise<{ layers: Layers }>;
  stop(): Promise<void>;
}

/** A kind of peer: its title, its configurations, and the target ratio. */
export interface PeerKind {
  title: string;
  goal: "eager" | "compile";
  configs: string[];
  env?: Record<string, string>;
}

/** The result of trying a configuration. */
export interface Tried {
  ms: number;
  busy: boolean;
  firstStepSeconds: number;
  peakMiB: number;
  loadedMiB: number;
}

/** A peer in its fastest configuration. */
export interface Peer {
  kind: string;
  title: string;
  goal: PeerKind["goal"];
  config: string;
  tried: Record<string, Tried>;
}

export interface RunningPeer extends Peer {
  side: Side;
}

/** Settings shared by all measurements. */
export interface Context {
  python: string;
  folder: string;
  threads: number;
  rounds: number;
  /** The length of a block; by default each model has its own. */
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

export interface StepRow {
  side: string;
  config: string;
  ms: Spread;
  ratio: Spread;
  firstLoss: number;
  memory: { peakMiB: number; loadedMiB: number };
}

export interface GuidedSide {
  ms: Spread;
  overPlain: Spread;
  firstLoss: number;
}

export interface GuidedRow extends Variant {
  ours: GuidedSide;
  eager: GuidedSide;
  ratio: Spread;
}

export interface LoopRow {
  objective: string;
  ms: Spread;
  overPlain: Spread;
}

/** Everything that was measured for one model. */
export interface ModelResult {
  model: ModelKey;
  batch: number;
  layers: Layers;
  versions: { libtorch: string; torch: string };
  peers: Peer[];
  plain: Quiet & { others: number[]; rows: StepRow[] };
  guided: (Quiet & { layer: string; rows: GuidedRow[] })[];
  loops: Quiet & { rows: LoopRow[] };
}

/** The content of bench.json. */
export interface Found {
  machine: ReturnType<typeof import("./machine.mjs").describeMachine>;
  versions: { libtorch: string; torch: string };
  options: { threads: number; rounds: number; models: ModelKey[] };
  load: { before: number; after: number };
  disturbedAbove: number;
  disagreement: number;
  results: ModelResult[];
}

/** A bar of a figure. */
export interface Bar {
  label: string;
  kind: string;
  ms: Spread;
  note: string;
}

export interface BarGroup {
  title: string;
  bars: Bar[];
}
