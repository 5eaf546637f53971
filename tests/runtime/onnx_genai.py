# needs: numpy onnxruntime_genai safetensors tokenizers
"""ONNX folders in onnxruntime-genai: its tokenizer gives the ids of ours, the last position's logits equal frugal's, and greedy
generation gives the same ids."""
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime_genai as og
from tokenizers import Tokenizer

from common import *
from genai_text import generate

PROMPTS = ["The lamp is small but", "Numbers like 12, 345"]


def compare(name, folder, plain, count=24):
    model = og.Model(str(folder))
    tokenizer = og.Tokenizer(model)
    reference = Tokenizer.from_file(str(Path(plain) / "tokenizer.json"))
    for prompt in PROMPTS:
        ids = list(map(int, tokenizer.encode(prompt)))
        expect_true(f"{name}: ids of {prompt!r}", ids == reference.encode(prompt).ids, str(ids))
        logits, greedy = generate(model, ids, count)
        expected = our_logits(plain, ids)[-1]
        expect(f"{name}: logits of the last position", float(np.abs(logits[-len(expected):] - expected).max()), 0.0, 1e-4)
        expect_true(f"{name}: greedy ids", greedy == our_greedy(plain, ids, count), str(greedy))


with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    model = make_llama(work / "model")
    frugal("export", model, "--format", "onnx", "--out", work / "fp32-onnx")
    compare("fp32", work / "fp32-onnx", model)
    frugal("prune", model, "--channels", "0.75", "--calibration", work / "model-text.txt", "--sequence-length", "64", "--windows", "8", "--out", work / "narrow")
    frugal("export", work / "narrow", "--format", "onnx", "--out", work / "narrow-onnx")
    compare("without a quarter of its channels", work / "narrow-onnx", work / "narrow")
    frugal("quantize", model, "--grid", "int4", "--calibration", work / "model-text.txt", "--sequence-length", "64", "--windows", "8", "--out", work / "int4")
    frugal("export", work / "int4", "--format", "onnx", "--out", work / "int4-onnx")
    frugal("export", work / "int4", "--format", "huggingface", "--out", work / "int4-plain")
    compare("int4", work / "int4-onnx", work / "int4-plain")
finish()
