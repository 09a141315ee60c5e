// The names of `batch-cam/tensor`: tensors, and the files that hold them.
export * from "./io/index.ts";
export * from "./tensor/index.ts";
