"""The networks of bench/index.mjs from torchvision and timm, whole and split after the layer whose maps are computed."""

import timm
import torch
import torchvision
from torch import nn


class SimpleCNN(nn.Module):
    """src/models/simple-cnn/simple-cnn.ts, with its names."""

    def __init__(self):
        super().__init__()
        self.conv1, self.act1 = nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(inplace=True)
        self.conv2, self.act2, self.pool1 = nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        self.conv3, self.act3, self.pool2 = nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        self.flatten, self.fc1, self.act4 = nn.Flatten(), nn.Linear(128 * 7 * 7, 128), nn.ReLU(inplace=True)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


def simple_cnn():
    model = SimpleCNN()
    return model, dict(model.named_children())


def resnet18():
    """torchvision's ResNet-18, with a 3x3 stem of stride 1 and no max-pool."""
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1, model.maxpool = nn.Conv2d(1, 64, 3, 1, 1, bias=False), nn.Identity()
    layers = dict(model.named_children())
    fc = layers.pop("fc")
    return model, {**layers, "flatten": nn.Flatten(), "fc": fc}


def convnextv2_atto():
    model = timm.create_model("convnextv2_atto", patch_size=1, in_chans=1, num_classes=10)
    stages = {f"stages.{i}": stage for i, stage in enumerate(model.stages)}
    return model, {"stem": model.stem, **stages, "norm_pre": model.norm_pre, "head": model.head}


NETWORKS = {"simple-cnn": simple_cnn, "resnet18": resnet18, "convnextv2_atto": convnextv2_atto}


def network(name, layer, weights):
    """The model, its part up to `layer`, and its part after it; the three share their weights."""
    model, layers = NETWORKS[name]()
    model.load_state_dict(weights, strict=True)
    behind = list(layers).index(layer) + 1
    parts = list(layers.values())
    return model.train(), nn.Sequential(*parts[:behind]), nn.Sequential(*parts[behind:])


def channels_last(images):
    """With one channel, both memory formats have the same bytes; only the strides tell them apart."""
    if images.shape[1] == 1:
        return images.squeeze(1).unsqueeze(-1).permute(0, 3, 1, 2)
    return images.contiguous(memory_format=torch.channels_last)
