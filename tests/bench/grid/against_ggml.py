#!/usr/bin/env python3
"""Error and time of every GGUF grid over those of ggml's own encoder (`ggml_quantize_chunk`), at equal bytes on synthetic weights.

usage: against_ggml.py error|time build/bench/tests/bench/grid/frugal_encode_file [--search fast|full] [GRID...]

error: with the same importance matrix; ggml decodes both. Two errors: sum h sqrt(2 mean(x^2) + x^2) e^2, what both
search for (ggml with other constants for some types), and sum h e^2; then the same without an importance matrix on either side.
time: CPU nanoseconds a weight of ours and of ggml's, one thread, taken in turn, the least of several; with importance and without.
Needs NumPy, xllamacpp (scripts/setup --tests).
"""
import argparse
import ctypes
import glob
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import xllamacpp

ROWS, COLUMNS = 96, 1024
TIMED_ROWS, TIMED_COLUMNS, ROUNDS = 64, 2048, 5
# Numbers of ggml's types. nvfp4 has a tensor scale, which ggml's encoder knows nothing of: nvfp4:e0 is what that writes.
TYPES = {"q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "iq4_nl": 20, "iq4_xs": 23, "q2_k": 10, "q3_k": 11, "q4_k": 12, "q5_k": 13, "q6_k": 14,
         "mxfp4": 39, "nvfp4": 40, "nvfp4:e0": 40, "q2_0": 42, "tq2_0": 35}
TENSOR_SCALES = {"nvfp4": 2.0 ** -7}


def ggml():
    library = ctypes.CDLL(glob.glob(os.path.dirname(xllamacpp.__file__) + "/*.so")[0])
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
    library.ggml_type_size.restype, library.ggml_blck_size.restype = ctypes.c_size_t, ctypes.c_int64
    return library


class Encoders:
    """Ours and ggml's, of the weights in `source`; importance None: neither is given one."""

    def __init__(self, program, work):
        self.program, self.library = program, ggml()
        self.source, self.out = Path(work) / "weights", Path(work) / "blocks"

    def ours(self, grid, search, x, importance, repeats=1):
        rows, columns = x.shape
        given = np.ones(columns, np.float32) if importance is None else importance
        self.source.write_bytes(x.tobytes() + given.tobytes())
        printed = subprocess.run([self.program, grid, search + ("-plain" if importance is None else ""), self.source, str(rows), str(columns),
                                  self.out, str(repeats)], check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        return np.fromfile(self.out, np.uint8).reshape(rows, -1), float(printed.stdout)

    def theirs(self, grid, x, importance, repeats=1):
        kind, (rows, columns) = TYPES[grid], x.shape
        blocks = np.zeros((rows, columns // self.block(grid) * self.library.ggml_type_size(kind)), np.uint8)
        least = float("inf")
        for _ in range(repeats):
            start = time.thread_time()
            self.library.ggml_quantize_chunk(kind, x.ctypes.data, blocks.ctypes.data, 0, rows, columns,
                                             None if importance is None else importance.ctypes.data)
            least = min(least, time.thread_time() - start)
        return blocks, least

    def block(self, grid):
        return self.library.ggml_blck_size(TYPES[grid])

    def decoded(self, grid, blocks, columns):
        kind = grid.split(":")[0]
        decode = getattr(self.library, "dequantize_row_" + (kind[:-1] + "K" if kind.endswith("_k") else kind))
        decode.argtypes, decode.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64], None
        values = np.empty((len(blocks), columns), np.float32)
        decode(np.ascontiguousarray(blocks).ctypes.data, values.ctypes.data, values.size)
        return values


def errors(x, decoded, importance, block):
    rows, columns = x.shape
    x = x.reshape(rows, -1, block).astype(np.float64)
    square = np.broadcast_to(importance, (rows, columns)).reshape(x.shape) * (x - decoded.reshape(x.shape)) ** 2
    return np.array([(square * np.sqrt(2 * (x ** 2).mean(-1, keepdims=True) + x ** 2)).sum(), square.sum()])


def compare_errors(encoders, grids, search):
    random = np.random.default_rng(5)
    weights = {"normal": random.normal(size=(ROWS, COLUMNS)), "Student t, 4": random.standard_t(4, size=(ROWS, COLUMNS)),
               "shifted Laplace": random.laplace(size=(ROWS, COLUMNS)) + 0.5 * random.normal(size=(ROWS, 1))}
    weights = {name: (0.02 * x).astype(np.float32) for name, x in weights.items()}
    uneven = np.exp(random.normal(size=COLUMNS)).astype(np.float32)
    for grid in grids:
        block, scale = encoders.block(grid), np.float32(TENSOR_SCALES.get(grid, 1))
        for name, x in weights.items():
            for importance, what in ((uneven, "uneven"), (np.ones_like(uneven), "equal"), (None, "none")):
                decoded = [scale * encoders.decoded(grid, encoders.ours(grid, search, x, importance)[0], COLUMNS),
                           encoders.decoded(grid, encoders.theirs(grid, x, importance)[0], COLUMNS)]
                ours, theirs = (errors(x, values, 1 if importance is None else importance, block) for values in decoded)
                ratio = ours / theirs
                print(f"{grid:8} {name:16} importance {what:7} weighted {ratio[0]:.3f}  squares {ratio[1]:.3f}", flush=True)


def compare_times(encoders, grids, search):
    random = np.random.default_rng(5)
    x = (0.02 * random.normal(size=(TIMED_ROWS, TIMED_COLUMNS))).astype(np.float32)
    uneven = np.exp(random.normal(size=TIMED_COLUMNS)).astype(np.float32)
    print("grid      importance   ours  ggml's  ratio   (ns a weight)")
    for grid in grids:
        for importance, what in ((uneven, "uneven"), (None, "none")):
            least = np.full(2, np.inf)
            for _ in range(ROUNDS):
                seconds = encoders.ours(grid, search, x, importance, 3)[1], encoders.theirs(grid, x, importance, 3)[1]
                least = np.minimum(least, seconds)
            ours, theirs = least / x.size * 1e9
            print(f"{grid:8}  {what:9} {ours:7.2f} {theirs:7.2f} {ours / theirs:6.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["error", "time"])
    parser.add_argument("program")
    parser.add_argument("--search", choices=["fast", "full"], default="fast")
    parser.add_argument("grids", nargs="*", default=list(TYPES))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        {"error": compare_errors, "time": compare_times}[given.what](Encoders(given.program, work), given.grids, given.search)


if __name__ == "__main__":
    main()
