"""The Python side of weights-interop.mjs: <library> <model> <folder>.

Loads ours.safetensors strictly and writes its logits for images.safetensors. Then it writes other weights, with changed running
statistics, to theirs.safetensors, and their logits too.
"""

import sys

import torch
from safetensors.torch import load_file, save_file


def build(library: str, name: str) -> torch.nn.Module:
    if library == "timm":
        import timm

        return timm.create_model(name)
    import torchvision

    return getattr(torchvision.models, name)()


def main(library: str, name: str, folder: str) -> None:
    torch.manual_seed(2)
    images = load_file(f"{folder}/images.safetensors")["images"]
    model = build(library, name).eval()
    with torch.no_grad():
        model.load_state_dict(load_file(f"{folder}/ours.safetensors"))
        ours = model(images)
        theirs = build(library, name)
        theirs.train()(torch.randn(8, 3, 64, 64))
        theirs.eval()
        save_file({key: value.contiguous() for key, value in theirs.state_dict().items()}, f"{folder}/theirs.safetensors")
        save_file({"ours": ours, "theirs": theirs(images)}, f"{folder}/logits.safetensors")


main(*sys.argv[1:])
