"""Writes one case of test/fixtures: its tensors to a file, and its entry of extra-manifest.json."""

import json
from importlib.metadata import version

import numpy as np
import torch
from safetensors.torch import save


def numbers(value):
    return torch.from_numpy(np.asarray(value)) if not isinstance(value, torch.Tensor) else value.detach().clone()


def both(subject, compute):
    """Runs a computation in float32 for out/ and in float64 for out64/."""
    narrow, wide = compute(subject), compute(subject.wide())
    tensors = {f"out/{key}": numbers(value).float() for key, value in narrow.items()}
    return tensors | {f"out64/{key}": numbers(value).double() for key, value in wide.items()}


def measured(tensors):
    """max|out - out64| / max|out64|: the rounding error of float32."""
    wide = {key: value for key, value in tensors.items() if key.startswith("out64/")}
    pairs = {key: (tensors.get(key.replace("out64/", "out/")), value) for key, value in wide.items()}
    return {key: float((a - b).abs().max() / b.abs().max()) for key, (a, b) in pairs.items() if a is not None}


def write_case(folder, name, tensors, entry):
    """Writes the tensors, and returns the manifest's entry of the case with the fields of `entry`."""
    tensors = {key: numbers(value).contiguous() for key, value in sorted(tensors.items())}
    nonfinite = [key for key, value in tensors.items() if not value.isfinite().all()]
    assert nonfinite == entry.get("nonfinite_tensors", []), (name, nonfinite)
    with open(f"{folder}/{name}.safetensors", "wb") as file:
        file.write(save(tensors))
    return {
        "name": name,
        "file": f"{name}.safetensors",
        **{key: entry[key] for key in ("checks", "source", "definition", "params", "tolerance")},
        "measured": {"max|out - out64| / max|out64|": measured(tensors)},
        "nonfinite_tensors": nonfinite,
        "tensors": {key: f"{str(value.dtype)[6:]}{list(value.shape)}" for key, value in tensors.items()},
    }


def write_manifest(folder, scripts, libraries, cases):
    manifest = {
        "conventions": "The same format as manifest.json. params.base names the case of that file whose input/x, input/y, param/ and buffer/ are used.",
        "made_by": scripts,
        "versions": {name: version(name) for name in libraries},
        "cases": cases,
    }
    with open(f"{folder}/extra-manifest.json", "w") as file:
        file.write(json.dumps(manifest, indent=1) + "\n")
