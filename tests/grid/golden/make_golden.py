"""Golden blocks for the grids, from the `gguf` Python package (the reference decoder, and encoder of the plain types).

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
         "q4_k": (Type.Q4_K, 256, 144), "q4_1": (Type.Q4_1, 32, 20), "q5_0": (Type.Q5_0, 32, 22), "q5_1": (Type.Q5_1, 32, 24),
         "q2_k": (Type.Q2_K, 256, 84), "q3_k": (Type.Q3_K, 256, 110), "q5_k": (Type.Q5_K, 256, 176), "q6_k": (Type.Q6_K, 256, 210),
         "iq4_xs": (Type.IQ4_XS, 256, 136)}
# Where the fp16 scale, the fp16 offset (or its super-scale) and the sub-scales lie: (byte, byte or None, slice or None).
FIELDS = {"q4_k": (0, 2, slice(4, 16)), "q5_k": (0, 2, slice(4, 16)), "q2_k": (80, 82, slice(0, 16)), "q3_k": (108, None, slice(96, 108)),
          "q6_k": (208, None, slice(192, 208)), "q4_1": (0, 2, None), "q5_1": (0, 2, None), "iq4_xs": (0, None, slice(2, 8))}
ENCODED = {"q8_0": 127.0, "q4_0": 8.0, "q5_0": 16.0, "q4_1": 15.0, "q5_1": 31.0}  # levels on one side, or above the minimum
EXTREME = [0.0, -0.0, -1.5, 65504.0, -65504.0, 6e-8, -6e-8, 6.1e-5, 1.0]


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


def write_decode(folder, name, random):
    kind, count, size = TYPES[name]
    blocks = decode_blocks(name, size, random)
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
    blocks = quants.quantize(weights, kind).reshape(len(weights), size)
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
