const toSafetensors = (dict: string) =>
  'python -c "import torch, safetensors.torch as s; ' +
  `s.save_file({k: v.contiguous() for k, v in ${dict}.items()}, 'out.safetensors')"`;

/** What to do with a file that is sound, but that only Python may read. */
export const CONVERT = `if you trust the file, convert it: ${toSafetensors("(lambda x: x.state_dict() if hasattr(x, 'state_dict') else x)(torch.load('in.pth', weights_only=False))")}`;

/** The same for a TorchScript archive, which torch.load does not take. */
export const CONVERT_SCRIPT = `if you trust the file, convert its state dict: ${toSafetensors("torch.jit.load('in.pt').state_dict()")}`;
