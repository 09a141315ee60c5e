"""The Python side of python-interop.mjs: <folder> contains ours.safetensors; theirs.safetensors is written into the
same folder.

Both sides build the same tensors from the same rule: element i of every tensor is (3 * i) % 7 - 2, then the dtype's
conversion (absolute for uint8, non-zero for bool).
"""

import ctypes
import sys

import numpy
from safetensors import TensorSpec, deserialize, safe_open, serialize_file

SHAPES = {"scalar": (), "vector": (5,), "matrix": (2, 3), "empty": (0,), "hollow": (2, 0, 3)}
DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
METADATA = {"name": 'na\u00efve "quoted" \\ \n \U0001f600'}


def element_bytes(dtype: str, shape: tuple[int, ...]) -> bytes:
    values = (3 * numpy.arange(numpy.prod(shape, dtype=int))) % 7 - 2
    if dtype == "bfloat16": # exact for small integers: bfloat16 is the upper half of a float32
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    if dtype == "uint8":
        return numpy.abs(values).astype(dtype).tobytes()
    return (values != 0 if dtype == "bool" else values.astype(dtype)).tobytes()


def expected() -> dict[str, tuple[str, str, tuple[int, ...], bytes]]:
    return {
        f"{dtype}.{name}": (code, dtype, shape, element_bytes(dtype, shape))
        for code, dtype in DTYPES.items()
        for name, shape in SHAPES.items()
    }


def check_ours(path: str) -> None:
    with open(path, "rb") as file:
        found = dict(deserialize(file.read()))
    wanted = expected()
    assert found.keys() == wanted.keys(), found.keys() ^ wanted.keys()
    for name, (code, _, shape, data) in wanted.items():
        entry = found[name]
        got = (entry["dtype"], tuple(entry["shape"]), bytes(entry["data"]))
        assert got == (code, shape, data), f"{name}: expected {(code, shape, data)}, got {got}"
    with safe_open(path, framework="np") as file:
        assert file.metadata() == METADATA, file.metadata()
        numpy.testing.assert_array_equal(file.get_tensor("float32.matrix"), [[-2, 1, 4], [0, 3, -1]])


def write_theirs(path: str) -> None:
    specs, buffers = {}, []
    for name, (_, dtype, shape, data) in expected().items():
        buffers.append(ctypes.create_string_buffer(data, len(data)))
        address = ctypes.addressof(buffers[-1])
        specs[name] = TensorSpec(dtype=dtype, shape=shape, data_ptr=address, data_len=len(data))
    serialize_file(specs, path, METADATA)


if __name__ == "__main__":
    folder = sys.argv[1]
    check_ours(f"{folder}/ours.safetensors")
    write_theirs(f"{folder}/theirs.safetensors")
