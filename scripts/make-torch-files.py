"""Writes test/fixtures/torch-files/: files of torch.save, and hostile ones in the same archive.

Run in a throw-away virtual environment: pip install -r scripts/requirements/torch-files.txt, then
python scripts/make-torch-files.py test/fixtures/torch-files. Nothing in the hostile files is executed by making them.
"""

import argparse
import collections
import copyreg
import datetime
import decimal
import enum
import fractions
import functools
import io
import os
import pathlib
import pickle
import sys
import uuid
import zipfile
from collections import OrderedDict

import numpy as np
import torch

DTYPES = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
MARKER = "torch-file-was-executed"


def rule(shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    """Element i is (3 i) mod 7 - 2 (for uint8 its absolute value), converted to the dtype. The tests use the same rule."""
    count = int(torch.tensor(shape, dtype=torch.int64).prod())
    values = (3 * torch.arange(count)) % 7 - 2
    values = values.abs() if dtype == "uint8" else values
    return values.to(getattr(torch, dtype)).reshape(shape)


def every_dtype() -> dict[str, torch.Tensor]:
    shapes = {"scalar": (), "matrix": (2, 3), "empty": (0,), "hollow": (2, 0, 3)}
    return {f"{dtype}.{name}": rule(shape, dtype) for dtype in DTYPES for name, shape in shapes.items()}


def views() -> dict[str, torch.Tensor]:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return OrderedDict(
        base=base,
        row=base[2],
        transposed=base.t(),
        every_second=base[1:, ::2],
        element=base[3, 5],
        diagonal=base.diagonal(),
        overlapping=base.as_strided((3, 3), (1, 1), 2),
        channels_last=torch.arange(24, dtype=torch.int16).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
        expanded=torch.tensor([[1.0], [2.0]]).expand(2, 3),
        same=base,
    )


def module() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))


def parameters() -> dict[str, torch.Tensor]:
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    marked = torch.nn.Parameter(torch.tensor([3.0]), requires_grad=False)
    marked.no_decay = True
    return {"weight": parameter, "marked": marked}


def nested() -> dict[str, object]:
    trained = module()
    optimizer = torch.optim.AdamW(trained.parameters())
    trained(torch.ones(1, 1, 4, 4)).sum().backward()
    optimizer.step()
    plain = {"set": {1, 2}, "bytes": b"\x00\xff", "complex": 1j, "big": -(2**70), "float": 0.5, "none": None}
    plain |= {"tuple": (1, "two"), "size": torch.Size([1, 2]), "device": torch.device("cpu"), "dtype": torch.float16}
    return {
        "epoch": 3,
        "best": 0.97,
        "args": {"lr": 1e-3, "names": ["a", "b"], "amp": True} | plain,
        "optimizer": optimizer.state_dict(),
        "state_dict": trained.state_dict(),
        "state_dict_ema": OrderedDict((name, value + 1) for name, value in trained.state_dict().items()),
    }


class AttributeDict(dict):
    """A subclass of dict, like the one in which Lightning stores hyperparameters."""


def beside() -> dict[str, object]:
    """A checkpoint as training scripts write it, with objects of many classes besides the weights."""
    hyper = AttributeDict(lr=0.1, milestones=[1, 2])
    hyper.frozen = True
    counts = collections.defaultdict(list, {"a": [1, 2]})
    return {
        "pytorch-lightning_version": "2.5.0",
        "args": argparse.Namespace(lr=1e-3, out=pathlib.Path("runs/a"), device=torch.device("cpu"), dtype=torch.float16),
        "hyper_parameters": hyper,
        "counts": counts,
        "started": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
        "took": datetime.timedelta(seconds=3),
        "loss": functools.partial(torch.nn.functional.cross_entropy, label_smoothing=0.1),
        "accuracy": np.float64(0.5),
        "confusion": np.arange(6, dtype=np.int64).reshape(2, 3),
        "names": np.array(["cat", "dog"], dtype=object),
        "mode": Mode.on,
        "fraction": fractions.Fraction(1, 3),
        "decimal": decimal.Decimal("0.1"),
        "id": uuid.UUID(int=7),
        "deque": collections.deque([1, 2], maxlen=3),
        "size": torch.Size([1, 2]),
        "counter": collections.Counter("aab"),
        "huge": 2**2100,
        "state_dict": module().state_dict() | {"_extra_state": {"version": 2}},
    }


class Mode(enum.Enum):
    on = 1
    off = 2


class Tagged(torch.Tensor):
    """A tensor of a subclass, which torch pickles by _rebuild_from_type_v2."""


def keyed() -> dict[str, object]:
    """Weights and their moving average, each in a separate dict."""
    average = {name: value + 1 for name, value in module().state_dict().items()}
    return {"net": {"module": module().state_dict()}, "ema": {"module": average, "decay": 0.9}, "epoch": 1}


class Reduced:
    """An object that is pickled as a call of `function` with `arguments`, followed by the given state."""

    def __init__(self, function: object, *arguments: object, state: object = None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def pickled(value: object, protocol: int = 2) -> bytes:
    stream = io.BytesIO()
    pickle.Pickler(stream, protocol).dump(value)
    return stream.getvalue()


def assembled(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def hostile() -> dict[str, bytes]:
    shell = f"touch {MARKER}"
    inner = Reduced(eval, f"__import__('os').system({shell!r})")
    return {
        "os-system": pickled({"w": Reduced(os.system, shell)}),
        "nested-reduce": pickled(OrderedDict(w=Reduced(OrderedDict, [(Reduced(getattr, inner, "x"), 1)]))),
        "builtins-eval": pickled([inner], 4),
        "copyreg": pickled({"w": Reduced(copyreg._reconstructor, Reduced, object, None, state={"x": 1})}),
        "stack-global": assembled(text("o"), b"\x94", text("os"), text("system"), b"\x93", text(shell), b"\x85R"),
        "stack-global-of-numbers": assembled(b"K\x01K\x02\x93"),
        "stack-global-of-reduced": assembled(
            b"ccollections\nOrderedDict\n", b")R", text("system"), b"\x93", text(shell), b"\x85R"
        ),
        "torch-hub-load": assembled(b"ctorch.hub\nload\n", text("a/b"), text("c"), b"\x86R"),
        "unknown-opcode": assembled(b"\xfe"),
        "inst": assembled(b"(", text(shell), b"ios\nsystem\n"),
        "obj": assembled(b"(cos\nsystem\n", text(shell), b"o"),
        "extension": assembled(b"\x82\x01"),
        "text-persistent-id": assembled(b"Pstorage\n"),
        "build-with-setstate": assembled(b"ccollections\nOrderedDict\n", b")R}", text("__setstate__"), b"cos\nsystem\nsb"),
    }


def write_archive(path: str, data: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (("data.pkl", data), ("byteorder", b"little"), ("version", b"3\n")):
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)


def write_torchscript(path: str) -> None:
    """Removes the debug records, which contain paths of the machine that wrote them."""
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(module()), stream)
    with zipfile.ZipFile(stream) as read, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in read.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                archive.writestr(zipfile.ZipInfo(entry.filename), read.read(entry), entry.compress_type)


def write_zip64(path: str, source: str) -> None:
    """The same entries with 64-bit sizes and offsets, as torch writes them in files above 4 GiB."""
    zipfile.ZIP64_LIMIT = 0
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for entry in read.infolist():
            with archive.open(zipfile.ZipInfo(entry.filename), "w", force_zip64=True) as file:
                file.write(read.read(entry))


def main(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    wanted = {"dtypes": every_dtype(), "views": views(), "module": module().state_dict(), "parameters": parameters()}
    wanted |= {"nested": nested(), "tensor": torch.ones(2), "none-in-it": {"w": torch.ones(1), "epoch": 3}}
    wanted["model"] = {"model": module().state_dict(), "scheduler": {}}
    wanted["proto"] = {"__proto__": torch.ones(1), "constructor": torch.zeros(1), "naïve \U0001f600": torch.ones(2)}
    wanted["complex"] = {"w": torch.zeros(2, dtype=torch.complex64), "x": torch.ones(1)}
    wanted["uint16"] = {"w": torch.zeros(2, dtype=torch.uint16)}
    wanted["conjugate"] = {"w": torch.zeros(2, dtype=torch.complex64).conj().imag}
    for name, value in wanted.items():
        torch.save(value, f"{folder}/{name}.pth")
    for protocol in (2, 4):
        torch.save(beside(), f"{folder}/beside-protocol{protocol}.pth.tar", pickle_protocol=protocol)
    torch.save(keyed(), f"{folder}/keyed.ckpt")
    tagged = torch.ones(2).as_subclass(Tagged)
    tagged.origin = "here"
    torch.save({"tagged": tagged, "plain": torch.zeros(1)}, f"{folder}/tagged.PT")
    torch.save({"model": module(), "epoch": 1}, f"{folder}/whole-model.pth")
    torch.save(module(), f"{folder}/whole.pth")
    for protocol in (3, 5):
        torch.save(nested(), f"{folder}/nested-protocol{protocol}.pth", pickle_protocol=protocol)
    # torch would store the source of a pickled network's class, and the path of that source.
    torch.serialization.get_source_lines_and_file = None
    legacy = {"legacy": module().state_dict(), "legacy-views": views(), "legacy-whole": module(), "legacy-beside": beside()}
    for name, value in legacy.items():
        torch.save(value, f"{folder}/{name}.pth", _use_new_zipfile_serialization=False)
    write_torchscript(f"{folder}/torchscript.pt")
    for name, data in hostile().items():
        write_archive(f"{folder}/hostile-{name}.pth", data)
    write_zip64(f"{folder}/zip64.pth", f"{folder}/parameters.pth")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    main(parser.parse_args(sys.argv[1:]).folder)
