"""The other side of bench/explain.mjs: pytorch-grad-cam and torch-cam as their documentation shows them, on a ResNet-18.

For each request, a line of JSON on stdin, it answers one on stdout. `weights` are torchvision's names in a safetensors file,
`images` a safetensors file with images (N, 1, H, W) and labels (N), or a .npy file of images, labelled by the network.
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import torch
import torch.nn.functional as F
import torchcam.methods
import torchvision
from pytorch_grad_cam import AblationCAM, GradCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import load_file, save_file


def network(path):
    """torchvision's ResNet-18 in evaluation mode; if the first kernel is 3x3, with stride 1 there and no max-pool."""
    state = load_file(path)
    model = torchvision.models.resnet18(num_classes=len(state["fc.bias"]))
    width, channels, side = state["conv1.weight"].shape[:3]
    if side == 3:
        model.conv1, model.maxpool = torch.nn.Conv2d(channels, width, 3, 1, 1, bias=False), torch.nn.Identity()
    model.load_state_dict(state)
    return model.eval()


def data(path, model):
    if not path.endswith(".npy"):
        stored = load_file(path)
        return stored["images"], stored["labels"].long()
    images = torch.from_numpy(np.load(path)).float()
    with torch.no_grad():
        return images, torch.cat([model(chunk).argmax(1) for chunk in images.split(64)])


def batches(images, labels, size):
    return zip(images.split(size), labels.split(size))


def grad_cam(model, images, labels, layer, batch, **_):
    maps = []
    with GradCAM(model=model, target_layers=[model.get_submodule(layer)]) as cam:
        for x, y in batches(images, labels, batch):
            maps.append(cam(input_tensor=x, targets=[ClassifierOutputTarget(c) for c in y.tolist()]))
    return maps


def perturbation(method):
    """Methods that explain one image at a time with many passes: `batch` is the batch size of those passes."""

    def run(model, images, labels, layer, batch, **_):
        with method(model=model, target_layers=[model.get_submodule(layer)]) as cam:
            cam.batch_size = batch
            return [cam(input_tensor=images, targets=[ClassifierOutputTarget(c) for c in labels.tolist()])]

    return run


def torch_grad_cam(model, images, labels, layer, batch, amp):
    maps = []
    with torchcam.methods.GradCAM(model, layer) as extractor:
        for x, y in batches(images, labels, batch):
            with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=amp):
                scores = model(x)
            [cams] = extractor(y.tolist(), scores)
            maps.append(resized(cams, x))
    return maps


def torch_score_cam(model, images, labels, layer, batch, amp):
    with torchcam.methods.ScoreCAM(model, layer, batch_size=batch) as extractor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=amp):
            model(images)
            [cams] = extractor(labels.tolist())
        return [resized(cams, images)]


def resized(cams, x):
    return F.interpolate(cams.unsqueeze(1).float(), x.shape[-2:], mode="bilinear", align_corners=False).squeeze(1)


KINDS = {
    "gradcam": grad_cam,
    "scorecam": perturbation(ScoreCAM),
    "ablationcam": perturbation(AblationCAM),
    "torchcam-gradcam": torch_grad_cam,
    "torchcam-scorecam": torch_score_cam,
}


def answer(model, images, labels, request):
    """Answers {what, images, batch, layer, amp?, channelsLast?, maps?} with the seconds; writes the maps to the file that `maps` names."""
    x, y = images[: request["images"]], labels[: request["images"]]
    layout = torch.channels_last if request.get("channelsLast") else torch.contiguous_format
    model.to(memory_format=layout)
    x = x.to(memory_format=layout)
    start = time.perf_counter()
    settings = {"layer": request["layer"], "batch": request["batch"], "amp": bool(request.get("amp"))}
    maps = KINDS[request["what"]](model, x, y, **settings)
    seconds = time.perf_counter() - start
    if "maps" in request:
        stored = torch.cat([torch.as_tensor(part).float() for part in maps]).contiguous()
        save_file({"maps": stored}, request["maps"])
    return {"seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights")
    parser.add_argument("images")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = network(given.weights)
    images, labels = data(given.images, model)
    print(json.dumps({"torch": torch.__version__, "images": len(images)}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(model, images, labels, json.loads(line))), flush=True)


main()
