"""Writes networks of transformers as folders, whole and in parts, with their logits: <folder>.

Called by weights-interop.mjs, which reads them and compares the logits.
"""

import sys

import torch
from safetensors.torch import save_file
from transformers import ConvNextV2Config, ConvNextV2ForImageClassification, ResNetConfig, ResNetForImageClassification


def networks() -> dict[str, torch.nn.Module]:
    basic = dict(layer_type="basic", embedding_size=64, hidden_sizes=[64, 128, 256, 512])
    atto = ConvNextV2Config(hidden_sizes=[40, 80, 160, 320], depths=[2, 2, 6, 2], num_labels=5)
    return {
        "resnet18": ResNetForImageClassification(ResNetConfig(**basic, depths=[2, 2, 2, 2], num_labels=5)),
        "resnet34": ResNetForImageClassification(ResNetConfig(**basic, depths=[3, 4, 6, 3], num_labels=5)),
        "convnextv2_atto": ConvNextV2ForImageClassification(atto),
    }


def moved(model: torch.nn.Module, generator: torch.Generator) -> torch.nn.Module:
    """Replaces all values, including running statistics, by random ones that no initialisation gives, so that a parameter that was not
    loaded is noticed."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        model.train()(torch.randn(8, 3, 64, 64, generator=generator))
    return model.eval()


def main(folder: str) -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(2, 3, 64, 64, generator=generator)
    kept = {"images": images}
    for name, model in networks().items():
        with torch.no_grad():
            kept[name] = moved(model, generator)(images).logits
        model.save_pretrained(f"{folder}/{name}")
        model.save_pretrained(f"{folder}/{name}-parts", max_shard_size="4MB")
        torch.save(model.state_dict(), f"{folder}/{name}-pytorch_model.bin")
    save_file(kept, f"{folder}/transformers.safetensors")


main(*sys.argv[1:])
