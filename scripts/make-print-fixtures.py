"""Writes printed_tensors.json and printed_modules.json: tensors and modules as torch prints them."""
import json
import random
import sys
from pathlib import Path

import torch
from torch import nn
from torchvision.models import resnet18


def tensors():
    random.seed(0)
    floats = [0.0, -0.0, 1.0, -2.0, 0.5, 1e-5, 123.456, 1e9, 0.03125, 100005.0, float("nan"), float("inf"), -float("inf")]
    yield [], [0], "float32", False
    yield [], [0, 3], "int64", False
    yield [], [2, 0], "float64", False
    for value in floats:
        yield [value], [], "float32", False
        yield [value, 1.0], [2], "float64", False
        yield [value, 0.0, 1.5], [3, 1], "float32", False
    for size in (1, 3, 20, 40):
        yield [random.gauss(0, 1) for _ in range(size)], [size], "float32", size == 3
        yield [random.randrange(-500, 500) for _ in range(size)], [size], "int64", False
        yield [random.gauss(0, 1) * 10 ** random.randrange(-4, 5) for _ in range(size)], [size], "float64", True
    yield [2**53 + 1, -5], [2], "int64", False
    yield [True, False, True, True], [2, 2], "bool", False
    yield [0, 255, 7], [3], "uint8", False
    yield [random.random() for _ in range(24)], [2, 3, 4], "float32", True
    yield [random.random() for _ in range(24)], [2, 3, 4], "bfloat16", False
    yield [float(i) for i in range(16)], [1, 2, 2, 2, 2], "float32", False
    yield (1001, 1), [1001], "int64", False
    yield (1000, 1), [1000], "int32", False
    yield (3000, 7), [3, 100, 10], "float32", False
    yield (3000, 7), [1500, 2], "float64", False


def modules():
    yield "resnet18", resnet18()
    yield "layers", nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, (3, 5), padding=(1, 2), dilation=2, groups=4, bias=False), nn.BatchNorm2d(8),
        nn.ReLU(), nn.GELU(), nn.GELU("tanh"), nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
        nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(), nn.Dropout(0.25),
        nn.LayerNorm(12, eps=1e-6), nn.Identity(), nn.Sequential(nn.Linear(48, 10), nn.Linear(10, 2, bias=False)),
    )
    yield "empty", nn.Sequential()


folder = Path(sys.argv[1])
cases = []
for data, shape, dtype, grad in tensors():
    # A pair (n, d) means the numbers 0 to n - 1, divided by d.
    values = [i / data[1] for i in range(data[0])] if isinstance(data, tuple) else data
    tensor = torch.tensor(values, dtype=getattr(torch, dtype)).reshape(shape).requires_grad_(grad)
    given = {"range": data} if isinstance(data, tuple) else {"data": [str(value) for value in data]}
    cases.append({**given, "shape": shape, "dtype": dtype, "requiresGrad": grad, "text": repr(tensor)})
rows = ",\n".join(json.dumps(case) for case in cases)
(folder / "printed_tensors.json").write_text(f"[\n{rows}\n]\n")
(folder / "printed_modules.json").write_text(json.dumps({name: repr(module) for name, module in modules()}, indent=1) + "\n")
