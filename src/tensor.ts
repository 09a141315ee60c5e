// The entry point `batch-cam/tensor`: tensors, and reading and writing files of tensors.
export * from "./io/index.ts";
export * from "./tensor/index.ts";
