// The names that other folders of the project may import in addition to the public ones in index.ts. This is not an entry point of the package.
export { dataError, FileError, type ReadContext, readFileBytes } from "./file-bytes.ts";
export type { NpyDtype, NpyValues } from "./npy.ts";
export { type NpzArray, readNpz } from "./npz.ts";
export { readTorchFile } from "./torch-file.ts";
export { weightsKindOf } from "./weights-kind.ts";
