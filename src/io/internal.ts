// What the other folders of the project use of this one beside its public names (index.ts). It is not an entry of the package.
export { dataError, FileError, type ReadContext, readFileBytes } from "./file-bytes.ts";
export type { NpyDtype, NpyValues } from "./npy.ts";
export { type NpzArray, readNpz } from "./npz.ts";
export { readTorchFile } from "./torch-file.ts";
export { weightsKindOf } from "./weights-kind.ts";
