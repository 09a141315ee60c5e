"""The Python side of exported-interop.mjs.

    python exported-interop.py export FOLDER   writes FOLDER/model.pt2
    python exported-interop.py load FOLDER     loads FOLDER/best.safetensors into the original module, and writes its logits for
                                               FOLDER/images.safetensors to FOLDER/python.safetensors
"""

import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file, save_file

task, folder = sys.argv[1], Path(sys.argv[2])
torch.manual_seed(0)
model = timm.create_model("resnet10t", num_classes=3).eval()
if task == "export":
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.export.export(model, (torch.randn(2, 3, 32, 32),), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "model.pt2")
else:
    model.load_state_dict(load_file(folder / "best.safetensors"))  # strict: every name and shape has to agree
    with torch.no_grad():
        save_file({"logits": model(load_file(folder / "images.safetensors")["images"])}, folder / "python.safetensors")
