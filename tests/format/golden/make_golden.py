#!/usr/bin/env python3
"""Regenerates the golden files of this folder with the Python libraries, and checks with them what our writers made.

    .oracles/bin/python tests/format/golden/make_golden.py

Needs numpy, ml_dtypes, safetensors 0.8.0, gguf 0.19.0 and onnx 1.23.2.
"""
import pathlib
import struct

import gguf
import numpy as np
import onnx
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


def python_gguf():
    """Metadata of every type and tensors of five; our writer must produce the same bytes."""
    path = HERE / "python.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint8("k.u8", 200)
    writer.add_int8("k.i8", -5)
    writer.add_uint16("k.u16", 60000)
    writer.add_int16("k.i16", -30000)
    writer.add_uint32("k.u32", 4000000000)
    writer.add_int32("k.i32", -2000000000)
    writer.add_float32("k.f32", 0.25)
    writer.add_uint64("k.u64", 2**63)
    writer.add_int64("k.i64", -(2**62))
    writer.add_float64("k.f64", 0.1)
    writer.add_bool("k.bool", True)
    writer.add_string("k.string", "grüße")
    writer.add_token_list(["<s>", "a", "▁b"])
    writer.add_token_scores([0.0, -1.5, -2.0])
    writer.add_token_types([3, 1, 1])
    writer.add_array("k.bools", [True, False, True])
    writer.add_bos_token_id(0)
    rng = np.random.default_rng(3)
    matrix = rng.standard_normal((4, 64)).astype(np.float32)
    writer.add_tensor("norm", np.arange(5, dtype=np.float32))
    writer.add_tensor("half", (np.arange(6, dtype=np.float16) / 4).reshape(2, 3))
    for name, kind in [("q8", gguf.GGMLQuantizationType.Q8_0), ("q4", gguf.GGMLQuantizationType.Q4_0),
                       ("bf", gguf.GGMLQuantizationType.BF16)]:
        writer.add_tensor(name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_onnx():
    """golden/ours.onnx comes from our writer (onnx_writer_test.cpp compares it): here the library checks it."""
    path = HERE / "ours.onnx"
    if not path.exists():
        print("ours.onnx is not there yet: build/*/tests/format/frugal_format_test writes one to FRUGAL_KEEP_ONNX")
        return
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert (tensors["weight"] == np.arange(2048, dtype=np.float32).reshape(32, 64) / 8).all()
    assert tensors["bias"].tolist() == [0.5 * i for i in range(64)]
    assert tensors["codes"].reshape(-1).astype(int).tolist() == [i % 16 for i in range(64)]
    assert tensors["shape"].tolist() == [-1, 64]
    try:
        import onnxruntime
    except ImportError:
        return
    session = onnxruntime.InferenceSession(str(path))
    x = np.ones((1, 2, 32), dtype=np.float32)
    got = session.run(None, {"x": x})[0]
    want = x.reshape(2, 32) @ tensors["weight"] + tensors["bias"] + (np.arange(64) % 16) * 0.5
    assert np.abs(got - want).max() < 1e-3, np.abs(got - want).max()
    print("ours.onnx: onnx.checker and onnxruntime agree")


if __name__ == "__main__":
    python_safetensors()
    ours_safetensors()
    python_gguf()
    check_onnx()
    print("golden files written")
