import type { Remedy } from "./tensor-file.ts";

/** What to do with a file that is sound, but that only Python may read. */
export const CONVERT: Remedy = (path) => {
  const dict = `(lambda x: x.state_dict() if hasattr(x, 'state_dict') else x)(${load(path)})`;
  return `if you trust the file, convert it: ${toSafetensors(dict, path)}`;
};

/** The same for a TorchScript archive, which torch.load does not take. */
export const CONVERT_SCRIPT: Remedy = (path) =>
  `if you trust the file, convert its state dict: ${toSafetensors(`torch.jit.load('${inPython(path)}').state_dict()`, path)}`;

/** For a file that holds a whole network, by itself or at a key of its dict. */
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

/** A path as it may stand between quotes in a command; a name that needs more than quotes is left to the reader. */
export const inPython = (path: string): string => (/^[\w./+@=: -]+$/.test(path) ? path : "in.pth");

/** The path without the ending of its format. */
export const stem = (path: string): string => inPython(path).replace(/(?:\.(?:pth|pt|bin|ckpt|tar|npz))+$/i, "");
