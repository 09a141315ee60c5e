"""Writes reference values for the readers of data sets into the folder inputs/ of the fixtures.

npy-dtypes.npz: the numbers 0 to 23, (2, 3, 4), in every dtype of NumPy that holds numbers, in both byte orders and in C and Fortran
order, which the array's name states. torchvision-resize.json: images of bytes, and the results of torchvision's antialiased bilinear
resize, with and without a crop.
"""

import json
import sys
from pathlib import Path

import numpy
import torch
from torchvision.transforms.v2 import functional

folder = Path(sys.argv[1]) / "inputs"
folder.mkdir(exist_ok=True)

arrays = {}
for kind in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"):
    for order in "<>":
        for layout in "CF":
            values = numpy.arange(24).reshape(2, 3, 4)
            if kind == "?":
                values = values % 3 == 0
            scaled = values / 24 - 0.5 if kind[0] == "f" else values
            name = f"{order}{'b1' if kind == '?' else kind}{layout}"
            arrays[name] = scaled.astype(order + kind, order=layout)
arrays["complex"] = numpy.zeros(3, "c8")
arrays["text"] = numpy.array(["a", "b"])
arrays["structured"] = numpy.zeros(3, [("a", "i4")])
arrays["scalar"] = numpy.float32(7)
arrays["empty"] = numpy.zeros((0, 3), "u1")
numpy.savez_compressed(folder / "npy-dtypes.npz", **arrays)



def image_of(channels, height, width):
    """Byte i, in the order (H, W, C), is the top byte of the 32-bit product of i and Knuth's 2654435761. The test computes the same bytes."""
    product = (numpy.arange(height * width * channels, dtype=numpy.uint64) * 2654435761) % 2**32
    return torch.from_numpy((product >> 24).astype("uint8").reshape(height, width, channels)).permute(2, 0, 1)


sizes = [((2, 2), (4, 4)), ((2, 2), (7, 5)), ((1, 6), (8, 9)), ((6, 1), (12, 3)), ((5, 7), (11, 23)), ((12, 10), (30, 29))]
sizes += [((3, 3), (3, 3)), ((64, 48), (32, 24)), ((50, 70), (17, 19)), ((100, 30), (7, 64)), ((200, 160), (9, 11))]
cases = []


def add(image, size, fit, resized):
    channels, height, width = image.shape
    pixels = [round(value, 3) for value in resized.double().flatten().tolist()]
    cases.append({"fit": fit, "channels": channels, "from": [height, width], "to": size, "resized": pixels})


for (height, width), size in sizes:
    for channels in (1, 3):
        image = image_of(channels, height, width)
        add(image, list(size), "fill", functional.resize(image.float(), list(size), antialias=True))
for (height, width), side in [((9, 14), 6), ((14, 9), 7), ((5, 8), 16), ((8, 5), 11), ((30, 31), 8), ((1, 5), 4)]:
    image = image_of(3, height, width)
    shorter = functional.resize(image.float(), [side], antialias=True)
    add(image, [side, side], "cover", functional.center_crop(shorter, [side, side]))
(folder / "torchvision-resize.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
