// The names that other folders of the project may import, in addition to the public ones in index.ts. This is not an entry point of the
// package.
export { accessing, dataError, FileError, type ReadContext, readFileBytes } from "./file-bytes.ts";
export { foreignArchiveOf, foreignFormatOf } from "./foreign-formats.ts";
export type { NpyDtype, NpyValues } from "./npy.ts";
export { type NpzArray, readNpz } from "./npz.ts";
export { type PickledTensor, readPickledTensors } from "./pickled-tensors.ts";
export { stridedExtent } from "./strided-extent.ts";
export { type Fail, fileOfBytes, partOfFile, readFully, reading, type TensorFile, writeBytes } from "./tensor-file.ts";
export { readTorchFile } from "./torch-file.ts";
export { isLegacyTorch } from "./torch-legacy.ts";
export { weightsKindOf } from "./weights-kind.ts";
export { readZipDirectory, unpackEntry, type ZipEntry } from "./zip.ts";
