"""Writes test/fixtures/rand_augment.json: results of torchvision's colour operations on uint8 images."""
import json
import sys

import torch
import torchvision
from torchvision.transforms import functional as F

STRENGTHS = [0.3, 0.9]


def images():
    generator = torch.Generator().manual_seed(5)
    noise = torch.randint(20, 200, (3, 12, 15), generator=generator, dtype=torch.uint8)
    slope = (torch.arange(30 * 30).reshape(1, 30, 30) // 5).to(torch.uint8)
    flat = torch.full((1, 6, 6), 77, dtype=torch.uint8)
    return {"colour": noise, "grey slope": slope, "one shade": flat}


def cases(image):
    for strength in STRENGTHS:
        for sign in (1, -1):
            factor = 1 + 0.9 * strength * sign
            yield "brightness", sign * strength, F.adjust_brightness(image, factor)
            yield "contrast", sign * strength, F.adjust_contrast(image, factor)
        yield "posterize", strength, F.posterize(image, 8 - round(4 * strength))
        yield "solarize", strength, F.solarize(image, 255.0 * (1 - strength))
    yield "autocontrast", 0.5, F.autocontrast(image)
    yield "equalize", 0.5, F.equalize(image)


def record(name, image):
    made = [{"name": op, "strength": s, "pixels": out.flatten().tolist()} for op, s, out in cases(image)]
    return {"name": name, "shape": list(image.shape), "pixels": image.flatten().tolist(), "cases": made}


with open(f"{sys.argv[1]}/rand_augment.json", "w") as file:
    made_by = f"scripts/make-augment-fixtures.py, torch {torch.__version__}, torchvision {torchvision.__version__}"
    json.dump({"madeBy": made_by, "images": [record(n, i) for n, i in images().items()]}, file, separators=(",", ":"))
    file.write("\n")
