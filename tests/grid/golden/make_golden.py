"""Golden blocks for the grids, from the `gguf` Python package (the reference decoder, and encoder for Q8_0 and Q4_0).

    .oracles/bin/python tests/grid/golden/make_golden.py tests/grid/golden

decode_<type>.bin   u32 count; then per block: the bytes of the block, and its weights as fp32
                    (random bytes with ordinary scales; then every extreme: zero, negative, subnormal and largest scales,
                    all bits set, sub-scales 0 and 63)
encode_<type>.bin   u32 count; then per block: 32 weights as fp32, and the bytes that the plain rule gives.
                    In the first half the scale before rounding is a value of fp16, so that the codes must agree too.
"""
import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

TYPES = {"q8_0": (Type.Q8_0, 32, 34), "q4_0": (Type.Q4_0, 32, 18), "iq4_nl": (Type.IQ4_NL, 32, 18),
         "q4_k": (Type.Q4_K, 256, 144)}
EXTREME = [0.0, -0.0, -1.5, 65504.0, -65504.0, 6e-8, -6e-8, 6.1e-5, 1.0]


def half(value):
    return np.float16(value).tobytes()


def decode_blocks(name, size, random):
    blocks = []
    for i in range(24):
        block = bytearray(random.bytes(size))
        block[0:2] = half(random.normal() * 0.01)
        if name == "q4_k":
            block[2:4] = half(abs(random.normal()) * 0.01)
        blocks.append(bytes(block))
    for i, scale in enumerate(EXTREME):
        block = bytearray(random.bytes(size))
        block[0:2] = half(scale)
        if name == "q4_k":
            block[2:4] = half(EXTREME[-1 - i])
            block[4:16] = [bytes(12), b"\xff" * 12, random.bytes(12)][i % 3]
        blocks.append(bytes(block))
    head = half(0.5) + (half(0.25) if name == "q4_k" else b"")
    blocks += [head + bytes(size - len(head)), head + b"\xff" * (size - len(head)), bytes(size)]
    return blocks


def write_decode(folder, name, random):
    kind, count, size = TYPES[name]
    blocks = decode_blocks(name, size, random)
    values = quants.dequantize(np.frombuffer(b"".join(blocks), np.uint8).reshape(len(blocks), size), kind)
    values = values.astype("<f4").reshape(len(blocks), count)
    parts = [struct.pack("<I", len(blocks))]
    for block, weights in zip(blocks, values):
        parts += [block, weights.tobytes()]
    (folder / f"decode_{name}.bin").write_bytes(b"".join(parts))


def write_encode(folder, name, random):
    kind, count, size = TYPES[name]
    levels = 127.0 if name == "q8_0" else 8.0
    weights = random.normal(size=(40, count)).astype(np.float32)
    for i in range(20):
        scale = np.float32(np.float16(abs(random.normal()) * 0.02 + 0.001))
        weights[i] = np.clip(weights[i] * scale * levels / 3, -scale * levels * 0.99, scale * levels * 0.99)
        weights[i, random.integers(count)] = -scale * levels * (1 if i % 2 else -1)
    weights[20] = 0
    weights[21] *= np.float32(1e-4)
    weights[22] *= np.float32(1e3)
    blocks = quants.quantize(weights, kind).reshape(len(weights), size)
    parts = [struct.pack("<I", len(weights))]
    for block, x in zip(blocks, weights):
        parts += [x.astype("<f4").tobytes(), block.tobytes()]
    (folder / f"encode_{name}.bin").write_bytes(b"".join(parts))


def main():
    folder = Path(sys.argv[1])
    random = np.random.default_rng(20261121)
    for name in TYPES:
        write_decode(folder, name, random)
    for name in ("q8_0", "q4_0"):
        write_encode(folder, name, random)


main()
