"""Writes a small model exported by this version of torch, and its numbers: python make-exported-fixtures.py OUT_DIR VERSION

tiny-VERSION.pt2           non-strict mode
tiny-VERSION-strict.pt2    strict mode, which names the inputs of tied weights in its own way
tiny-VERSION-train.pt2     exported in training mode and decomposed: the graph gives new values of buffers
double-VERSION.pt2         another model, in float64 (version 2.11 alone)
tiny.safetensors           the images, logits, state dict and constants, which are the same for every version
"""

import os
import sys
import zipfile

import torch
from safetensors.torch import load_file, save_file
from torch import nn


class Tiny(nn.Module):
    """A classifier with what is stored in an unusual way: see the comments."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.acts = nn.ModuleList([nn.ReLU(), nn.Dropout(0.1)])
        self.fc = nn.Linear(4, 3)
        self.register_buffer("scale", torch.empty(4))
        self.register_buffer("shift", torch.empty(4))
        # A buffer that state_dict does not have: it is stored with the constants.
        self.register_buffer("gain", torch.empty(4, 1, 1), persistent=False)
        generator = torch.Generator().manual_seed(0)
        draw = lambda *shape: torch.rand(shape, generator=generator) - 0.5
        for parameter in self.parameters():
            parameter.data = draw(*parameter.shape)
        self.norm.running_mean.copy_(draw(4))
        self.norm.running_var.copy_(draw(4) + 1)
        self.gain.copy_(draw(4, 1, 1) + 1)
        # A tied weight: two names of one parameter.
        self.second.weight = self.first.weight
        # A parameter whose elements are in another order in its storage.
        self.fc.weight = nn.Parameter(draw(4, 3).t())
        # Two buffers in one storage.
        self.scale, self.shift = draw(2, 4).unbind()

    def forward(self, x):
        # A block without gradients, and one with autocast: torch.export writes each as a graph of its own.
        with torch.no_grad():
            table = (self.gain * 2).relu()
        x = self.norm(self.stem(x)).relu()
        x = self.second(self.acts[0](self.first(x)))
        # A constant that is made in forward: it is lifted out of the graph.
        x = self.acts[1](x) * self.gain + torch.tensor([0.5, -0.25, 1.0, 2.0]).view(4, 1, 1) + table
        with torch.autocast("cpu", enabled=False):
            x = x * 1.5
        # A number that JSON does not have, and the end of a slice, which is 2^63 - 1.
        x = x.masked_fill(x > 1e9, float("-inf"))[:, 0:]
        return self.fc(x.mean((2, 3)) * self.scale + self.shift)


def without_traces(program):
    """Removes what names the files of this machine."""
    modules = [module for module in program.graph_module.modules() if hasattr(module, "graph")]
    for module in modules:
        for node in module.graph.nodes:
            for key in ("stack_trace", "from_node"):
                node.meta.pop(key, None)
    return program


def save(program, path):
    torch.export.save(without_traces(program), path)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            text = archive.read(name)
            assert os.getcwd().encode() not in text and b"site-packages" not in text, name


def values_of(model, x):
    values = {"x": x, "logits/eval": model.eval()(x)}
    values |= {f"state/{name}": value for name, value in model.state_dict().items()}
    values |= {"constant/gain": model.gain, "constant/lifted": torch.tensor([0.5, -0.25, 1.0, 2.0])}
    return {name: value.detach().clone().contiguous() for name, value in values.items()}


def main(folder, version):
    assert torch.__version__.startswith(version)
    model = Tiny().eval()
    x = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    values, known = values_of(model, x), os.path.join(folder, "tiny.safetensors")
    if os.path.exists(known):
        for name, value in load_file(known).items():
            torch.testing.assert_close(values[name], value, rtol=1e-5, atol=1e-6)
    else:
        save_file(values, known)
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=4096)}}
    path = lambda suffix: os.path.join(folder, f"tiny-{version}{suffix}.pt2")
    save(torch.export.export(model, (x[:2],), dynamic_shapes=shapes, strict=False), path(""))
    # In strict mode torch 2.5 runs the graph of the autocast block in place of that without gradients.
    if version != "2.5":
        save(torch.export.export(model, (x[:2],), dynamic_shapes=shapes, strict=True), path("-strict"))
    training = torch.export.export(model.train(), (x[:2],), dynamic_shapes=shapes, strict=False)
    save(training.run_decompositions(), path("-train"))
    if version == "2.11":
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        double = nn.Sequential(*layers).double().eval()
        program = torch.export.export(double, (x[:2].double(),), dynamic_shapes=({0: shapes["x"][0]},), strict=False)
        save(program, os.path.join(folder, f"double-{version}.pt2"))


main(*sys.argv[1:])
