#!/usr/bin/env python3
"""Regenerates the golden files of this folder with the Python libraries, and checks with them what our writers made.

    .oracles/bin/python tests/format/golden/make_golden.py

Needs numpy, ml_dtypes, safetensors 0.8.0, gguf 0.19.0 and onnx 1.23.2.
"""
import pathlib
import struct

import numpy as np
from safetensors import numpy as st

HERE = pathlib.Path(__file__).parent


def python_safetensors():
    tensors = {
        "matrix": (0.5 * np.arange(12, dtype=np.float32)).reshape(3, 4),
        "bytes": np.array([-1, 0, 1], dtype=np.int8),
        "half": np.array([1.0, -1 / 3, 2.0**-14], dtype=np.float16),
    }
    st.save_file(tensors, HERE / "python.safetensors", metadata={"note": "grüße"})


def ours_safetensors():
    """The bytes that SafetensorsWriter must produce, read back by the library."""
    header = (
        '{"__metadata__":{"format":"pt"},"weight":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]},'
        '"codes":{"dtype":"U8","shape":[1,3],"data_offsets":[48,51]}}'
    ).encode()
    header += b" " * (-len(header) % 8)
    weight = np.arange(1, 13, dtype=np.float32)
    data = struct.pack("<Q", len(header)) + header + weight.tobytes() + bytes([1, 2, 255])
    path = HERE / "ours.safetensors"
    path.write_bytes(data)
    read = st.load_file(path)
    assert (read["weight"] == weight.reshape(3, 4)).all()
    assert read["codes"].tolist() == [[1, 2, 255]]


if __name__ == "__main__":
    python_safetensors()
    ours_safetensors()
    print("golden files written")
