"""Exports networks of timm and torchvision by torch.export, and computes PyTorch's own numbers for them; zoo.mjs calls it.

    python zoo.py export FOLDER NAME...       writes FOLDER/NAME.pt2 and the input FOLDER/NAME.input.safetensors
    python zoo.py reference FOLDER NAME...    reads the target layer from FOLDER/NAME.layer.json, and writes FOLDER/NAME.reference.safetensors

Weights are random, by a seed: what is compared is the program, not what a network has learnt. Running statistics are those of one batch.
The numbers are computed in float64, because the gradients of deep networks with random weights differ by percents in float32, in PyTorch too.
One line of JSON for each network goes to the standard output, with `error` if PyTorch itself cannot export or differentiate it.
"""

import json
import os
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch.nn.attention import SDPBackend, sdpa_kernel

CLASSES = 10
BATCH = 4
NETWORKS = {row["name"]: row for row in json.loads(Path(__file__).with_name("networks.json").read_text())}


def build(name):
    row = NETWORKS[name]
    torch.manual_seed(0)
    options = row.get("options", {})
    if row["library"] == "torchvision":
        import torchvision

        model = torchvision.models.get_model(row["model"], weights=None, num_classes=CLASSES, **options)
    else:
        import timm

        model = timm.create_model(row["model"], pretrained=False, num_classes=CLASSES, **options)
    return calibrated(with_weights(model), row["size"])


def with_weights(model):
    """The model with random weights in place of matrices of zeros, such as some classifiers, with which all gradients would be zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and parameter.abs().max() == 0:
                parameter.normal_(std=0.02)
    return model


def calibrated(model, size):
    """The model in evaluation mode, with the statistics of one batch as its running statistics."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = None  # a cumulative mean, whose first value is that of the batch
    with torch.no_grad():
        model.train()(torch.randn(8, 3, size, size))
    for m, momentum in zip(norms, momenta):
        m.momentum = momentum
    return model.eval()


def export(folder, name):
    model, size = build(name), NETWORKS[name]["size"]
    torch.manual_seed(1)
    batch = NETWORKS[name].get("batch", BATCH)
    images = torch.randn(batch, 3, size, size)
    dynamic = ({0: torch.export.Dim("batch", min=1, max=1024)},)
    program = torch.export.export(model, (torch.randn(2, 3, size, size),), dynamic_shapes=dynamic)
    torch.export.save(program, folder / f"{name}.pt2")
    labels = torch.arange(batch) % CLASSES
    target = torch.rand(batch, size, size)
    save_file({"x": images, "y": labels, "p": target}, folder / f"{name}.input.safetensors")
    return {"parameters": sum(p.numel() for p in model.parameters())}


def maps_of(output, layout):
    """A layer's output as maps (N, C, h, w), by the layout that the JavaScript side has found."""
    kind = layout["kind"]
    if kind == "maps":
        return output
    if kind == "channels-last":
        return output.permute(0, 3, 1, 2)
    tokens = output[:, layout["prefix"] :]
    return tokens.transpose(1, 2).reshape(len(tokens), -1, layout["height"], layout["width"])


def with_first(output, fn):
    """A module's output with fn(tensor) in the place of the tensor. A list may hold its first tensor several times."""
    if isinstance(output, torch.Tensor):
        return fn(output)
    first = output[0]
    replaced = fn(first)
    return type(output)(replaced if item is first else item for item in output)


def tapped(model, layer, images):
    """The logits, and the layer's output (the first tensor of a list) as its next reader receives it."""
    seen = []

    def kept(tensor):
        seen.append(tensor)
        return tensor.clone()  # the next operator may write to its input

    handle = model.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: with_first(output, kept))
    logits = model(images)
    handle.remove()
    return logits, seen[-1]


def guided_gradients(model, layer, layout, data):
    """Gradients of CE + 0.5 * mean((minmax(resized Grad-CAM) - p)^2) with respect to the parameters."""
    images, labels, target = data
    logits, output = tapped(model, layer, images)
    score = logits.gather(1, labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, output, create_graph=True)
    maps = maps_of(output, layout)
    weights = maps_of(gradient, layout).mean((2, 3), keepdim=True)
    raw = (weights * maps).sum(1, keepdim=True).relu()
    cam = F.interpolate(raw, size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    low, high = cam.amin((1, 2), keepdim=True), cam.amax((1, 2), keepdim=True)
    scaled = (cam - low) / (high - low + 1e-8)
    loss = F.cross_entropy(logits, labels) + 0.5 * (scaled - target).square().mean()
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return loss, {n: g for n, g in zip(named, gradients) if g is not None}


def grad_cam(model, layer, layout, images, labels):
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    reshape = None if layout["kind"] == "maps" else lambda output: maps_of(output, layout)
    with tensor_module(model, layer, images) as module:
        with GradCAM(model=model, target_layers=[module], reshape_transform=reshape) as cam:
            maps = cam(input_tensor=images, targets=[ClassifierOutputTarget(int(y)) for y in labels])
    return torch.from_numpy(maps.copy())


@contextmanager
def tensor_module(model, layer, images):
    """The layer, or, if its output is a list, a module behind it that passes the list's first tensor on: pytorch-grad-cam takes no lists."""
    module, kinds = model.get_submodule(layer), []
    handle = module.register_forward_hook(lambda _module, _inputs, output: kinds.append(type(output)))
    with torch.no_grad():
        model(images[:1])
    handle.remove()
    if issubclass(kinds[-1], torch.Tensor):
        yield module
        return
    behind = torch.nn.Identity()
    handle = module.register_forward_hook(lambda _module, _inputs, output: with_first(output, behind))
    yield behind
    handle.remove()


def twice_differentiable_hardsigmoid():
    """PyTorch has no second derivative of hardsigmoid; the same function by others, for its own reference."""
    F.hardsigmoid = lambda x, inplace=False: F.relu6(x + 3) / 6


def reference(folder, name):
    twice_differentiable_hardsigmoid()
    found = json.loads((folder / f"{name}.layer.json").read_text())
    layer, layout = found["layer"], found["layout"]
    data = load_file(folder / f"{name}.input.safetensors")
    model = build(name)
    # The running statistics depend on the number of threads in their last digits, so they are those of the file.
    own = model.state_dict()
    with torch.no_grad():
        for key, tensor in torch.export.load(folder / f"{name}.pt2").state_dict.items():
            own[key].copy_(tensor)
    with torch.no_grad():
        single = model(data["x"])
    model.double()
    images, labels, target = data["x"].double(), data["y"], data["p"].double()
    with sdpa_kernel(SDPBackend.MATH):  # the fused attention kernels have no second derivative
        with torch.no_grad():
            logits, tap = tapped(model, layer, images)
        cam = grad_cam(model, layer, layout, images, labels)
        loss, gradients = guided_gradients(model, layer, layout, (images, labels, target))
    tensors = {"logits32": single, "logits": logits, "tap": tap, "cam": cam, "loss": loss.detach().reshape(1)}
    tensors |= {f"grad/{n}": g.float() for n, g in gradients.items()}
    save_file({n: t.detach().contiguous() for n, t in tensors.items()}, folder / f"{name}.reference.safetensors")
    return {}


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(int(os.environ.get("ZOO_THREADS", "2")))
    task, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    run = {"export": export, "reference": reference}[task]
    for name in names:
        try:
            result = run(folder, name)
        except Exception as error:  # PyTorch's own limits belong into the table
            result = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"}
        print(json.dumps({"name": name, **result}), flush=True)


main()
