import type { Remedy } from "./tensor-file.ts";

/** A kind of file that weights cannot be read from, with a remedy. */
export interface ForeignFormat {
  readonly what: string;
  readonly remedy: Remedy;
}

interface Signature extends ForeignFormat {
  readonly matches: (head: Buffer) => boolean;
}

const startsWith = (...bytes: number[]) => {
  const start = Buffer.from(bytes);
  return (head: Buffer) => head.subarray(0, start.length).equals(start);
};
const hasText = (text: string, at = 0) => {
  const expected = Buffer.from(text, "latin1");
  return (head: Buffer) => head.subarray(at, at + expected.length).equals(expected);
};
const matchesText = (pattern: RegExp) => (head: Buffer) => pattern.test(head.toString("utf8").replace(/^\uFEFF/, ""));

const FROM_ITS_LIBRARY =
  "save the state dict of the PyTorch model that it was made from: torch.save(model.state_dict(), path)";
const CONVERT_FROM = (library: string) =>
  `weights of ${library} have other names and layouts: convert the model to PyTorch, and save its state dict`;
const UNPACK = (command: string) => `unpack it (${command}) and give the file of weights that it contains`;

/**
 * Recognises a protobuf file, which has no signature, by its first bytes: the tag 08 of a first field that holds a
 * small version number, then the tag of the second field, which depends on the format.
 */
const isProtobuf = (version: (n: number) => boolean, second: readonly number[]) => (head: Buffer) =>
  head.length > 3 && head[0] === 0x08 && version(head[1] as number) && second.includes(head[2] as number);

const SIGNATURES: readonly Signature[] = [
  {
    what: "a pointer of Git LFS, which takes the place of the file in a repository",
    remedy: "fetch the file itself: run git lfs pull in its repository, or download it from its page",
    matches: hasText("version https://git-lfs"),
  },
  {
    what: "a web page or an error from a server, not the file that was to be downloaded",
    remedy: "open the address in a browser to see what it says (a login, a moved file), then download the file again",
    matches: matchesText(/^\s*<(?:!doctype|html|head|body|\?xml|!--|error)/i),
  },
  {
    what: "an HDF5 file, as Keras writes it (.h5)",
    remedy: CONVERT_FROM("Keras"),
    matches: startsWith(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a),
  },
  { what: "a TensorFlow Lite model", remedy: CONVERT_FROM("TensorFlow"), matches: hasText("TFL3", 4) },
  {
    what: "a TensorFlow SavedModel (saved_model.pb)",
    remedy: CONVERT_FROM("TensorFlow"),
    matches: (head) => isProtobuf((version) => version === 1, [0x12])(head) && !hasText("pytorch", 4)(head),
  },
  {
    what: "an ONNX model",
    remedy: FROM_ITS_LIBRARY,
    matches: isProtobuf((version) => version >= 1 && version <= 31, [0x12, 0x1a, 0x22, 0x2a, 0x32, 0x3a, 0x42]),
  },
  { what: "a GGUF file of quantized weights", remedy: FROM_ITS_LIBRARY, matches: hasText("GGUF") },
  { what: "a NumPy array (.npy)", remedy: FROM_ITS_LIBRARY, matches: startsWith(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59) },
  { what: "a gzip-compressed file", remedy: UNPACK("gunzip, or tar xzf"), matches: startsWith(0x1f, 0x8b) },
  { what: "a bzip2-compressed file", remedy: UNPACK("bunzip2, or tar xjf"), matches: hasText("BZh") },
  {
    what: "an xz-compressed file",
    remedy: UNPACK("unxz, or tar xJf"),
    matches: startsWith(0xfd, 0x37, 0x7a, 0x58, 0x5a),
  },
  { what: "a Zstandard-compressed file", remedy: UNPACK("unzstd"), matches: startsWith(0x28, 0xb5, 0x2f, 0xfd) },
  { what: "a 7-Zip archive", remedy: UNPACK("7z x"), matches: startsWith(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c) },
  { what: "a RAR archive", remedy: UNPACK("unrar x"), matches: hasText("Rar!") },
  { what: "a tar archive", remedy: UNPACK("tar xf"), matches: hasText("ustar", 257) },
  { what: "a PNG image", remedy: "give the file of weights", matches: startsWith(0x89, 0x50, 0x4e, 0x47) },
  { what: "a JPEG image", remedy: "give the file of weights", matches: startsWith(0xff, 0xd8, 0xff) },
  { what: "a PDF document", remedy: "give the file of weights", matches: hasText("%PDF") },
  {
    what: "a JSON file",
    remedy: "give the file of weights that it belongs to, or the folder that holds both",
    matches: matchesText(/^\s*[{[]\s*(?:["{[\]}]|-?\d)/),
  },
  {
    what: "a pickle that torch.save did not write",
    remedy: `if you trust the file, load it in Python and save its tensors: torch.save(state_dict, path)`,
    matches: (head) => head[0] === 0x80 && (head[1] as number) >= 1 && (head[1] as number) <= 5,
  },
];

/** Recognises a file that weights cannot be read from by its first bytes; null if its kind is unknown. */
export function foreignFormatOf(head: Buffer): ForeignFormat | null {
  return SIGNATURES.find(({ matches }) => matches(head)) ?? null;
}

/** Recognises a zip archive that torch.save did not write by the names of its entries; null for an archive of torch.save. */
export function foreignArchiveOf(names: readonly string[]): ForeignFormat | null {
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name));
  if (has(/^[^/]+\/data\.pkl$/)) return null;
  if (has(/(?:^|\/)model\.weights\.h5$/)) return { what: "a Keras model (.keras)", remedy: CONVERT_FROM("Keras") };
  if (has(/^(?:[^/]+\/)?archive_format$/)) {
    return { what: "a program of torch.export (.pt2)", remedy: EXPORTED_PROGRAM };
  }
  if (has(/\.npy$/)) return { what: "a NumPy archive (.npz)", remedy: NPZ_TO_SAFETENSORS };
  if (has(/(?:^|\/)saved_model\.pb$/)) {
    return { what: "a zip archive of a TensorFlow SavedModel", remedy: CONVERT_FROM("TensorFlow") };
  }
  const shown = names.slice(0, 3).join(", ") || "nothing";
  return { what: `a zip archive that torch.save did not write (it holds ${shown})`, remedy: UNPACK("unzip") };
}

const EXPORTED_PROGRAM =
  "it is a model with its weights: give it as the model (loadExportedModel, --model FILE), or save the state dict in Python: torch.save(torch.export.load(path).state_dict, path)";

const NPZ_TO_SAFETENSORS: Remedy = (path) =>
  `if its arrays have PyTorch's names and layouts, convert it: python -c "import numpy, safetensors.numpy as s; s.save_file(dict(numpy.load('${inPython(path)}')), '${stem(path)}.safetensors')"`;

/** The remedy for a valid file that can only be read in Python. */
export const CONVERT: Remedy = (path) => {
  const dict = `(lambda x: x.state_dict() if hasattr(x, 'state_dict') else x)(${load(path)})`;
  return `if you trust the file, convert it: ${toSafetensors(dict, path)}`;
};

/** The remedy for a TorchScript archive, which torch.load cannot read. */
export const CONVERT_SCRIPT: Remedy = (path) =>
  `if you trust the file, convert its state dict: ${toSafetensors(`torch.jit.load('${inPython(path)}').state_dict()`, path)}`;

/** The remedy for a file that contains a pickled network, either alone or under a key of a dict. */
export const saveStateDictOf =
  (key?: string): Remedy =>
  (path) => {
    const network = key === undefined ? load(path) : `${load(path)}['${key}']`;
    const program = `import torch; torch.save(${network}.state_dict(), '${stem(path)}-state.pth')`;
    return `if you trust the file, save the network's state dict where its code can be imported: python -c "${program}"`;
  };

export const SAVE_STATE_DICT = "save a state dict: torch.save(model.state_dict(), path)";

const load = (path: string) => `torch.load('${inPython(path)}', map_location='cpu', weights_only=False)`;

const toSafetensors = (dict: string, path: string) =>
  'python -c "import torch, safetensors.torch as s; ' +
  `s.save_file({k: v.contiguous() for k, v in ${dict}.items()}, '${stem(path)}.safetensors')"`;

/** A path that is safe between quotes in a shell command. For any other path it is "in.pth", which the user has to replace. */
const inPython = (path: string): string => (/^[\w./+@=: -]+$/.test(path) ? path : "in.pth");

/** The path without the extensions of its format. */
export const stem = (path: string): string => inPython(path).replace(/(?:\.(?:pth|pt|bin|ckpt|tar|npz))+$/i, "");
