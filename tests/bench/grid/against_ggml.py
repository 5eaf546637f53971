#!/usr/bin/env python3
"""Weighted error of every GGUF grid over that of ggml's own encoder (`ggml_quantize_chunk` with an importance matrix), at equal
bytes on synthetic weights.

usage: against_ggml.py build/bench/tests/bench/grid/frugal_encode_file [GRID...]

Both are decoded by `gguf` (Python). Two errors: sum h sqrt(2 mean(x^2) + x^2) e^2, what both search for (ggml with other constants for
some types), and sum h e^2. Needs NumPy, gguf, xllamacpp (scripts/setup --tests).
"""
import ctypes
import glob
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

ROWS, COLUMNS = 96, 1024
TYPES = {name.lower(): getattr(gguf.GGMLQuantizationType, name) for name in
         ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")}


def ggml():
    library = ctypes.CDLL(glob.glob(os.path.dirname(xllamacpp.__file__) + "/*.so")[0])
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
    return library


def errors(x, decoded, importance, block):
    x = x.reshape(ROWS, -1, block).astype(np.float64)
    square = np.broadcast_to(importance, (ROWS, COLUMNS)).reshape(x.shape) * (x - decoded.reshape(x.shape)) ** 2
    return np.array([(square * np.sqrt(2 * (x ** 2).mean(-1, keepdims=True) + x ** 2)).sum(), square.sum()])


def main():
    encoder, grids = sys.argv[1], sys.argv[2:] or list(TYPES)
    library, random = ggml(), np.random.default_rng(5)
    weights = {"normal": random.normal(size=(ROWS, COLUMNS)), "Student t, 4": random.standard_t(4, size=(ROWS, COLUMNS)),
               "shifted Laplace": random.laplace(size=(ROWS, COLUMNS)) + 0.5 * random.normal(size=(ROWS, 1))}
    weights = {name: (0.02 * x).astype(np.float32) for name, x in weights.items()}
    uneven = np.exp(random.normal(size=COLUMNS)).astype(np.float32)
    with tempfile.TemporaryDirectory() as work:
        source, out = Path(work) / "weights", Path(work) / "blocks"
        for grid in grids:
            kind = TYPES[grid]
            block, size = gguf.GGML_QUANT_SIZES[kind]
            for name, x in weights.items():
                for importance, what in ((uneven, "uneven"), (np.ones_like(uneven), "equal")):
                    source.write_bytes(x.tobytes() + importance.tobytes())
                    subprocess.run([encoder, grid, source, str(ROWS), str(COLUMNS), out], check=True)
                    ours = gguf.quants.dequantize(np.fromfile(out, np.uint8).reshape(ROWS, -1), kind)
                    blocks = np.zeros((ROWS, COLUMNS // block * size), np.uint8)
                    library.ggml_quantize_chunk(int(kind), x.ctypes.data, blocks.ctypes.data, 0, ROWS, COLUMNS, importance.ctypes.data)
                    theirs = gguf.quants.dequantize(blocks, kind)
                    ratio = errors(x, ours, importance, block) / errors(x, theirs, importance, block)
                    print(f"{grid:8} {name:16} importance {what:7} weighted {ratio[0]:.3f}  squares {ratio[1]:.3f}", flush=True)


if __name__ == "__main__":
    main()
