# needs: numpy gguf safetensors tokenizers
"""GGUF files of every grid: `gguf` (Python) decodes every tensor to exactly the numbers that frugal's own decode gives, in the
right places (q and k rows are stored in another order)."""
import tempfile
from pathlib import Path

import gguf
import numpy as np

from common import *
from gguf_names import hugging_face_name, interleave, split_scales

GGUF_GRIDS = ("q8_0", "q4_0", "iq4_nl", "q4_k", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k", "q5_k", "q6_k", "iq4_xs", "mxfp4", "nvfp4", "tq2_0")


def compare(name, model, grid, text, work, arguments):
    out, plain = work / f"{name}-{grid}.gguf".replace(":", "-"), work / f"{name}-{grid}-plain".replace(":", "-")
    quantized = work / f"{name}-{grid}-checkpoint".replace(":", "-")
    frugal("quantize", model, "--grid", grid, *arguments, "--calibration", text, "--out", quantized)
    frugal("export", quantized, "--format", "gguf", "--out", out)
    frugal("export", quantized, "--format", "huggingface", "--out", plain)
    config = json.load(open(plain / "config.json"))
    ours = load_weights(plain)
    wrong = []
    reader = gguf.GGUFReader(str(out))
    quantized_count = 0
    matrices, scales = split_scales(reader)
    for tensor in matrices:
        expected = ours[hugging_face_name(tensor.name)]
        decoded = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(expected.shape) * scales.get(tensor.name, np.float32(1))
        quantized_count += tensor.tensor_type not in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.BF16)
        if ".attn_q." in tensor.name:
            expected = interleave(expected, config["num_attention_heads"])
        if ".attn_k." in tensor.name:
            expected = interleave(expected, config["num_key_value_heads"])
        if not np.array_equal(decoded.astype(np.float32), expected.astype(np.float32)):
            wrong.append(tensor.name)
    expect(f"{name} {grid}: tensors that differ from gguf's decode", len(wrong), 0)
    expect(f"{name} {grid}: quantized tensors", quantized_count, quantized_tensors(config))


with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    seeded = make_llama(work / "seeded", tied=False)
    text = work / "seeded-text.txt"
    for grid in (*GGUF_GRIDS, "int4:g64"):
        compare("seeded", seeded, grid, text, work, ["--sequence-length", "64", "--windows", "8"])
    novels = real("novels-7m/hf")
    if novels:
        text = DATA / "english-novels-100" / "Doyle_Hound_1902.txt"
        for grid in GGUF_GRIDS:
            compare("novels-7m", novels, grid, text, work, ["--sequence-length", "256", "--windows", "4"])
finish()
