"""Golden blocks for the grids, from the `gguf` Python package (the reference decoder, and encoder of the plain types); where it lacks one,
from ggml itself, as xllamacpp has it.

    .oracles/bin/python tests/grid/golden/make_golden.py tests/grid/golden

decode_<type>.bin   u32 count; then per block: the bytes of the block, and its weights as fp32
                    (random bytes with ordinary scales; then every extreme: zero, negative, subnormal and largest scales,
                    all bits set, sub-scales 0 and 63)
encode_<type>.bin   u32 count; then per block: 32 weights as fp32, and the bytes that the plain rule gives.
                    In the first half the scale before rounding is a value of fp16, so that the codes must agree too.
"""
import ctypes
import glob
import os
import struct
import sys
from pathlib import Path

import numpy as np
import xllamacpp
from gguf import GGMLQuantizationType as Type
from gguf import quants

TYPES = {"q8_0": (Type.Q8_0, 32, 34), "q4_0": (Type.Q4_0, 32, 18), "iq4_nl": (Type.IQ4_NL, 32, 18),
         "q4_k": (Type.Q4_K, 256, 144), "q4_1": (Type.Q4_1, 32, 20), "q5_0": (Type.Q5_0, 32, 22), "q5_1": (Type.Q5_1, 32, 24),
         "q2_k": (Type.Q2_K, 256, 84), "q3_k": (Type.Q3_K, 256, 110), "q5_k": (Type.Q5_K, 256, 176), "q6_k": (Type.Q6_K, 256, 210),
         "iq4_xs": (Type.IQ4_XS, 256, 136), "mxfp4": (Type.MXFP4, 32, 17), "nvfp4": (Type.NVFP4, 64, 36), "tq2_0": (Type.TQ2_0, 256, 66), "q2_0": (42, 64, 18)}
# Where the fp16 scale, the fp16 offset (or its super-scale) and the sub-scales lie: (byte, byte or None, slice or None).
FIELDS = {"q4_k": (0, 2, slice(4, 16)), "q5_k": (0, 2, slice(4, 16)), "q2_k": (80, 82, slice(0, 16)), "q3_k": (108, None, slice(96, 108)),
          "q6_k": (208, None, slice(192, 208)), "q4_1": (0, 2, None), "q5_1": (0, 2, None), "iq4_xs": (0, None, slice(2, 8)), "tq2_0": (64, None, None)}
# Scales of one byte: how many, and the largest that stands for a number.
BYTE_SCALES = {"mxfp4": (1, 254), "nvfp4": (4, 126)}
ENCODED = {"q8_0": 127.0, "q4_0": 8.0, "q5_0": 16.0, "q4_1": 15.0, "q5_1": 31.0, "mxfp4": 6.0, "nvfp4": 6.0, "tq2_0": 1.0, "q2_0": 1.0}  # levels on one side, or above the minimum
EXTREME = [0.0, -0.0, -1.5, 65504.0, -65504.0, 6e-8, -6e-8, 6.1e-5, 1.0]


GGML = ctypes.CDLL(glob.glob(os.path.dirname(xllamacpp.__file__) + "/*.so")[0])
BY_GGML = {"decode": ("q2_0",), "encode": ("q2_0", "nvfp4")}


def ggml_decode(name, blocks, count):
    values = np.zeros((len(blocks), count), np.float32)
    for block, row in zip(blocks, values):
        getattr(GGML, f"dequantize_row_{name}")(block, row.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(count))
    return values


def ggml_encode(name, weights, size):
    blocks = np.zeros((len(weights), size), np.uint8)
    for row, block in zip(weights, blocks):
        getattr(GGML, f"quantize_row_{name}_ref")(*(array.ctypes.data_as(ctypes.c_void_p) for array in (row, block)), ctypes.c_int64(len(row)))
    return blocks


def half(value):
    return np.float16(value).tobytes()


def decode_blocks(name, size, random):
    scale_at, offset_at, sub_scales = FIELDS.get(name, (0, None, None))

    def with_fields(block, scale, offset, sub=None):
        block = bytearray(block)
        block[scale_at:scale_at + 2] = half(scale)
        if offset_at is not None:
            block[offset_at:offset_at + 2] = half(offset)
        if sub_scales is not None and sub is not None:
            width = sub_scales.stop - sub_scales.start
            block[sub_scales] = [bytes(width), b"\xff" * width, random.bytes(width), b"\x80" * width][sub]
        return bytes(block)

    blocks = [with_fields(random.bytes(size), random.normal() * 0.01, abs(random.normal()) * 0.01) for _ in range(24)]
    blocks += [with_fields(random.bytes(size), scale, EXTREME[-1 - i], i % 4) for i, scale in enumerate(EXTREME)]
    return blocks + [with_fields(bytes(size), 0.5, 0.25), with_fields(b"\xff" * size, 0.5, 0.25), bytes(size)]


def byte_scaled_blocks(name, size, random):
    """Every scale that stands for a number; byte 0 of mxfp4 (2^-127, of which fp32 keeps nothing) with codes of 0 alone."""
    count, largest = BYTE_SCALES[name]
    scales = np.arange(largest + 1, dtype=np.uint8)
    scales = np.pad(scales, (0, -len(scales) % count)).reshape(-1, count)
    blocks = [scale.tobytes() + random.bytes(size - count) for scale in scales]
    if name == "mxfp4":
        blocks[0] = bytes(size)
    return blocks + [scales[-1].tobytes() + bytes(size - count), scales[-1].tobytes() + b"\x88" * (size - count), bytes(size)]


def ternary_blocks(size, random):
    """No fourth value."""
    codes = lambda: (random.integers(0, 3, (64, 4)) << np.array([0, 2, 4, 6])).sum(-1).astype(np.uint8).tobytes()
    return [codes() + half(random.normal() * 0.01) for _ in range(24)] + [codes() + half(scale) for scale in EXTREME] + [bytes(size)]


def blocks_of(name, size, random):
    if name in BYTE_SCALES:
        return byte_scaled_blocks(name, size, random)
    return ternary_blocks(size, random) if name == "tq2_0" else decode_blocks(name, size, random)


def write_decode(folder, name, random):
    kind, count, size = TYPES[name]
    blocks = blocks_of(name, size, random)
    if name in BY_GGML["decode"]:
        values = ggml_decode(name, blocks, count)
    else:
        values = quants.dequantize(np.frombuffer(b"".join(blocks), np.uint8).reshape(len(blocks), size), kind)
    values = values.astype("<f4").reshape(len(blocks), count)
    parts = [struct.pack("<I", len(blocks))]
    for block, weights in zip(blocks, values):
        parts += [block, weights.tobytes()]
    (folder / f"decode_{name}.bin").write_bytes(b"".join(parts))


def symmetric_weights(random, count, levels):
    weights = random.normal(size=(40, count)).astype(np.float32)
    for i in range(20):
        scale = np.float32(np.float16(abs(random.normal()) * 0.02 + 0.001))
        weights[i] = np.clip(weights[i] * scale * levels / 3, -scale * levels * 0.99, scale * levels * 0.99)
        weights[i, random.integers(count)] = -scale * levels * (1 if i % 2 else -1)
    return weights


def ranged_weights(random, count, levels):
    """Minimum and step are values of fp16; steps of 2^-12 to 2^-6 so that minimum + levels * step is exact."""
    weights = random.normal(size=(40, count)).astype(np.float32)
    for i in range(20):
        step, low = np.float32(2.0 ** random.integers(-12, -5)), np.float32(random.integers(-20, 3))
        weights[i] = step * (low + random.uniform(0.01, levels - 0.01, count).astype(np.float32))
        at = random.permutation(count)[:2]
        weights[i, at] = step * low, step * (low + np.float32(levels))
    return weights


def write_encode(folder, name, random):
    kind, count, size = TYPES[name]
    if name in ("q4_1", "q5_1"):
        weights = ranged_weights(random, count, ENCODED[name])
    else:
        weights = symmetric_weights(random, count, ENCODED[name])
    weights[20] = 0
    weights[21] *= np.float32(1e-4)
    weights[22] *= np.float32(1e3)
    if name == "nvfp4":  # below 2^-6 ggml does not take the nearest scale throughout
        weights *= np.float32(64)
    by_ggml = name in BY_GGML["encode"]
    blocks = ggml_encode(name, weights, size) if by_ggml else quants.quantize(weights, kind).reshape(len(weights), size)
    parts = [struct.pack("<I", len(weights))]
    for block, x in zip(blocks, weights):
        parts += [x.astype("<f4").tobytes(), block.tobytes()]
    (folder / f"encode_{name}.bin").write_bytes(b"".join(parts))


def main():
    folder = Path(sys.argv[1])
    for name in TYPES:
        random = np.random.default_rng([20261121, sum(name.encode())])
        write_decode(folder, name, random)
        if name in ENCODED:
            write_encode(folder, name, random)


main()
