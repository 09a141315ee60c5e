"""The other side of bench/exported.mjs --inference: PyTorch's eager mode.

    python exported.py export FOLDER NAME...    writes FOLDER/NAME.pt2 for images of 224 x 224 and FOLDER/NAME.safetensors with their logits
    python exported.py serve THREADS            answers each line of JSON on stdin, {"name", "batch", "count", "clock",
                                                 "channelsLast"}, by the seconds of each of `count` forward passes
"""

import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

SIDE = 224


def build(name):
    torch.manual_seed(0)
    if name.startswith("vit"):
        import timm

        return timm.create_model(name, pretrained=False).eval()
    import torchvision

    return torchvision.models.get_model(name, weights=None).eval()


def export(folder, name):
    model = build(name)
    batch = torch.export.Dim("batch", min=1, max=1024)
    example = torch.randn(2, 3, SIDE, SIDE)
    program = torch.export.export(model, (example,), dynamic_shapes=({0: batch},), strict=False)
    torch.export.save(program, folder / f"{name}.pt2")
    with torch.inference_mode():
        save_file({"images": example, "logits": model(example)}, folder / f"{name}.safetensors")


def serve(threads):
    torch.set_num_threads(threads)
    models = {}
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        name, last = asked["name"], asked["channelsLast"]
        if name not in models:
            models.clear()
            models[name] = build(name)
        memory = torch.channels_last if last else torch.contiguous_format
        model = models[name].to(memory_format=memory)
        images = torch.randn(asked["batch"], 3, SIDE, SIDE).to(memory_format=memory)
        now = {"wall": time.perf_counter, "cpu": time.process_time}[asked["clock"]]
        seconds = []
        with torch.inference_mode():
            for _ in range(asked["count"]):
                start = now()
                model(images)
                seconds.append(now() - start)
        print(json.dumps({"seconds": seconds}), flush=True)


if sys.argv[1] == "export":
    for each in sys.argv[3:]:
        export(Path(sys.argv[2]), each)
else:
    serve(int(sys.argv[2]))
