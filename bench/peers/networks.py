"""The networks of bench/index.mjs from torchvision and timm, whole and split after the layer whose maps are computed."""

import timm
import torch
import torchvision
from torch import nn

CLASSES = 10


class SimpleCNN(nn.Module):
    """src/models/simple-cnn/simple-cnn.ts, with its names."""

    def __init__(self, channels, side):
        super().__init__()
        self.conv1, self.act1 = nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(inplace=True)
        self.conv2, self.act2, self.pool1 = nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        self.conv3, self.act3, self.pool2 = nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        self.flatten, self.fc1 = nn.Flatten(), nn.Linear(128 * (side // 4) ** 2, 128)
        self.act4, self.fc2 = nn.ReLU(inplace=True), nn.Linear(128, CLASSES)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


def simple_cnn(channels, side):
    model = SimpleCNN(channels, side)
    return model, dict(model.named_children())


def resnet18(channels, side, stem="imagenet"):
    """torchvision's ResNet-18; with the small stem, a 3x3 convolution of stride 1 and no max-pool."""
    model = torchvision.models.resnet18(num_classes=CLASSES)
    if stem == "small":
        model.conv1, model.maxpool = nn.Conv2d(channels, 64, 3, 1, 1, bias=False), nn.Identity()
    elif channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    layers = dict(model.named_children())
    fc = layers.pop("fc")
    return model, {**layers, "flatten": nn.Flatten(), "fc": fc}


def convnext(name):
    def make(channels, side, patchSize=4, stemStride=None):
        patch = 1 if stemStride else patchSize
        model = timm.create_model(name, patch_size=patch, in_chans=channels, num_classes=CLASSES)
        if stemStride:
            model.stem[0] = nn.Conv2d(channels, model.stem[0].out_channels, stemStride, stemStride)
        stages = {f"stages.{i}": stage for i, stage in enumerate(model.stages)}
        return model, {"stem": model.stem, **stages, "norm_pre": model.norm_pre, "head": model.head}

    return make


NETWORKS = {
    "simple-cnn": simple_cnn,
    "resnet18": resnet18,
    "convnextv2_atto": convnext("convnextv2_atto"),
    "convnextv2_tiny": convnext("convnextv2_tiny"),
}


def network(spec, layer, weights):
    """The model, its part up to `layer`, and its part after it; the three share their weights."""
    channels, side, _ = spec["image"]
    model, layers = NETWORKS[spec["model"]](channels, side, **spec["options"])
    model.load_state_dict(weights, strict=True)
    behind = list(layers).index(layer) + 1
    parts = list(layers.values())
    return model.train(), nn.Sequential(*parts[:behind]), nn.Sequential(*parts[behind:])


def channels_last(images):
    """With one channel, both memory formats have the same bytes; only the strides tell them apart."""
    if images.shape[1] == 1:
        return images.squeeze(1).unsqueeze(-1).permute(0, 3, 1, 2)
    return images.contiguous(memory_format=torch.channels_last)
