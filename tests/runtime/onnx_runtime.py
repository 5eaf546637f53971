# needs: numpy onnx onnxruntime safetensors tokenizers
"""ONNX folders in ONNX Runtime: the checker accepts them; logits of prefill and of one-by-one decoding equal frugal's, for fp32
weights and for integer groups (against the decoded weights, accuracy_level 1: fp32 arithmetic). With activations rounded to int8
both sides multiply the same integers exactly."""
import tempfile
from pathlib import Path

import numpy as np
import onnx

from common import *
from onnx_session import empty_past, run, session


def compare(name, folder, plain, ids):
    path = folder / "model.onnx"
    onnx.checker.check_model(str(path), full_check=False)
    print(f"ok   {name}: onnx.checker accepts it")
    graph = onnx.load(str(path), load_external_data=False)
    expect(f"{name}: IR version", graph.ir_version, 10)
    expected = our_logits(plain, ids)
    model = session(path)
    prefill, _ = run(model, ids, empty_past(model))
    expect(f"{name}: prefill logits", float(np.abs(prefill - expected).max()), 0.0, 1e-4)
    half, past = run(model, ids[:len(ids) // 2], empty_past(model))
    steps = [half]
    for i in range(len(ids) // 2, len(ids)):
        logits, past = run(model, [ids[i]], past)
        steps.append(logits)
    expect(f"{name}: logits of decoding one by one", float(np.abs(np.concatenate(steps) - expected).max()), 0.0, 1e-4)
    return {node.op_type for node in graph.graph.node}


def compare_integers(name, work, model):
    """W8A8. Sums of integers are exact on both sides; what is left are the fp32 operations between (norms, attention), which differ by
    some 1e-6. Where such a difference meets a quotient x / s that close to a half, one code flips by 1: of codes up to 127 a share of
    about 127 * 1e-6 * 2. Rounding as such moves every code by 0.29 rms, so that flips move logits by about sqrt(2.5e-4) / 0.29 =
    5% of what rounding moves them, in the root mean square; three times that is allowed. Tokens before the first flip must agree as fp32
    does. A flip may fall on the first tokens and move all behind them: the median of several draws of ids is what counts."""
    quantized, out, weights_only = work / f"{name}-w8a8", work / f"{name}-w8a8-onnx", work / f"{name}-w8"
    arguments = ("--grid", "int8:row", "--calibration", work / f"{name}-text.txt", "--sequence-length", "64", "--windows", "8")
    frugal("quantize", model, *arguments, "--activations", "int8", "--out", quantized)
    frugal("quantize", model, *arguments, "--out", weights_only)
    frugal("export", quantized, "--format", "onnx", "--out", out)
    path = out / "model.onnx"
    onnx.checker.check_model(str(path), full_check=False)
    graph = onnx.load(str(path), load_external_data=False).graph
    expect_true(f"{name} w8a8: integer products", sum(n.op_type == "MatMulInteger" for n in graph.node) == 7 * sum(n.op_type == "GroupQueryAttention" for n in graph.node))
    def rms(x):
        return float(np.sqrt(np.mean(np.square(x))))
    runtime, firsts, shares, moves = session(path), [], [], []
    for seed in range(7):
        ids = np.random.default_rng(seed).integers(1, 384, 64).tolist()
        expected = our_logits(quantized, ids)
        prefill, _ = run(runtime, ids, empty_past(runtime))
        moves.append(rms(expected - our_logits(weights_only, ids)))
        firsts.append(float(np.abs(prefill - expected)[:4].max()))
        shares.append(rms(prefill - expected) / moves[-1])
    expect_true(f"{name} w8a8: activations are rounded (logits move by {min(moves):.2g})", min(moves) > 1e-3)
    expect(f"{name} w8a8: logits of the first tokens, median of draws", float(np.median(firsts)), 0.0, 1e-4)
    expect(f"{name} w8a8: logits of all tokens as a share of what rounding moves them, median", float(np.median(shares)), 0.0, 0.15)
    done = frugal("export", quantized, "--format", "gguf", "--out", work / f"{name}-w8a8.gguf", check=False)
    expect_true(f"{name} w8a8: GGUF is refused", done.returncode != 0 and "per token" in done.stderr, done.stderr.strip()[-300:])


with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    random = np.random.default_rng(5)
    ids = random.integers(1, 384, 64).tolist()
    scaling = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
    for name, options in {"tied": {}, "untied-llama3": {"tied": False, "scaling": scaling}}.items():
        model = make_llama(work / name, **options)
        frugal("export", model, "--format", "onnx", "--out", work / f"{name}-onnx")
        compare(f"{name} fp32", work / f"{name}-onnx", model, ids)
        for grid in ("int4", "int4:g64:asym", "int3:g16", "q3_k", "q4_0", "q5_0", "q6_k", "q8_0", "int8", "int2", "int2:g64:asym"):
            stem = f"{name}-{grid}".replace(":", "-")
            quantized, out, plain = work / stem, work / f"{stem}-onnx", work / f"{stem}-plain"
            frugal("quantize", model, "--grid", grid, "--calibration", work / f"{name}-text.txt", "--sequence-length", "64", "--windows", "8", "--out", quantized)
            frugal("export", quantized, "--format", "onnx", "--accuracy-level", "1", "--out", out)
            frugal("export", quantized, "--format", "huggingface", "--out", plain)
            operators = compare(f"{name} {grid}", out, plain, ids)
            expect_true(f"{name} {grid}: uses MatMulNBits", "MatMulNBits" in operators)
            expect_true(f"{name} {grid}: uses GatherBlockQuantized", "GatherBlockQuantized" in operators)
        compare_integers(name, work, model)
    # A context whose rotary tables would take 128 MiB: the graph computes them.
    model = make_llama(work / "long", context=1 << 19)
    frugal("export", model, "--format", "onnx", "--out", work / "long-onnx")
    operators = compare("long context", work / "long-onnx", model, ids)
    expect_true("long context: rotary tables are computed", {"Range", "Cos", "Sin"} <= operators)
    size = sum(f.stat().st_size for f in (work / "long-onnx").iterdir())
    expect_true(f"long context: the folder takes {size} bytes", size < 2 * (work / "long" / "model.safetensors").stat().st_size)
    for grid in ("q4_k", "iq4_nl", "q4_1", "nf4", "fp8"):
        out = work / f"{grid}-onnx"
        done = frugal("quantize", work / "tied", "--grid", grid, "--method", "rtn", "--out", out, check=False)
        expect_true(f"{grid} to ONNX is refused before anything runs", done.returncode != 0 and not out.exists(), done.stderr.strip()[-300:])
finish()
