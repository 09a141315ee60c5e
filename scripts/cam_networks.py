"""The networks of the cam_* fixtures, with their weights, images and labels."""

import copy
import functools

import torch
import torchvision
from safetensors.torch import load_file


class SmallCNN(torch.nn.Module):
    """The network of test/support/small-cnn.ts, with sizes read from the weights."""

    def __init__(self, state):
        super().__init__()
        for i, stride in ((1, 1), (2, 2), (3, 2)):
            out, inside = state[f"conv{i}.weight"].shape[:2]
            self.add_module(f"conv{i}", torch.nn.Conv2d(inside, out, 3, stride, 1, bias=False))
            self.add_module(f"bn{i}", torch.nn.BatchNorm2d(out))
            self.add_module(f"act{i}", torch.nn.ReLU())
        if "fc.weight" in state:
            self.pool, self.flatten = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
            self.fc = torch.nn.Linear(*reversed(state["fc.weight"].shape))
        else:
            self.flatten, self.fc1 = torch.nn.Flatten(), torch.nn.Linear(*reversed(state["fc1.weight"].shape))
            self.act4, self.fc2 = torch.nn.ReLU(), torch.nn.Linear(*reversed(state["fc2.weight"].shape))

    def forward(self, x):
        return functools.reduce(lambda y, layer: layer(y), self._modules.values(), x)


def narrow_resnet18(state):
    """torchvision's ResNet-18 with a 3x3 stem, no max-pool, and the width of the weights."""
    model = torchvision.models.resnet18(num_classes=len(state["fc.bias"]))
    width, channels = state["conv1.weight"].shape[:2]
    model.conv1, model.bn1 = torch.nn.Conv2d(channels, width, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(width)
    model.maxpool, model.inplanes = torch.nn.Identity(), width
    for i in range(4):
        layer = model._make_layer(torchvision.models.resnet.BasicBlock, width << i, 2, stride=1 if i == 0 else 2)
        setattr(model, f"layer{i + 1}", layer)
    model.fc = torch.nn.Linear(width * 8, len(state["fc.bias"]))
    return model


class Subject:
    """A network with the images and labels to explain."""

    def __init__(self, base, folder):
        stored = load_file(f"{folder}/{base}.safetensors")
        state = {key.split("/")[1]: value for key, value in stored.items() if key.startswith(("param/", "buffer/"))}
        self.base, self.layer = base, "layer4.1" if "resnet" in base else "act3"
        self.model = (narrow_resnet18 if "resnet" in base else SmallCNN)(state)
        missing, unexpected = self.model.load_state_dict(state, strict=False)
        assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
        self.model.eval()
        self.x, self.y, self.stored = stored["input/x"], stored["input/y"].tolist(), stored
        if "out/logits" in stored:
            with torch.no_grad():
                torch.testing.assert_close(self.model(self.x), stored["out/logits"], rtol=1e-5, atol=1e-5)

    def wide(self):
        other = copy.copy(self)
        other.model, other.x = copy.deepcopy(self.model).double(), self.x.double()
        return other

    def target_layer(self):
        return self.model.get_submodule(self.layer)
