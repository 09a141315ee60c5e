// The whole library as one entry point. The entry points of the folders (batch-cam/tensor, batch-cam/nn ...) describe
// what each contains.
export * from "./cam/index.ts";
export * from "./data/index.ts";
export { BatchCamError, type ErrorCode } from "./errors.ts";
export * from "./losses/index.ts";
export * from "./metrics/index.ts";
export * from "./models/index.ts";
export * as nn from "./nn/index.ts";
export * as optim from "./optim/index.ts";
export * from "./tensor.ts";
export * from "./train.ts";
