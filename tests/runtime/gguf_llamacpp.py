# needs: numpy gguf xllamacpp safetensors tokenizers
"""GGUF files in llama.cpp: log-probabilities of an fp32 file equal ours to 1e-4 (f32 cache, no flash attention); the
quantized ones load, ggml's own decoders give exactly the weights that ours gives, and the perplexity over the same tokens equals ours
within what rounding activations to 8 bits leaves (llama.cpp does that in those products, frugal does not)."""
import ctypes
import glob
import os
import tempfile
from pathlib import Path

import gguf
import numpy as np
import xllamacpp as xlc

from common import *
from gguf_names import hugging_face_name, interleave, split_scales
from llamacpp_server import Server, log_softmax


def compare_weights(name, gguf_path, plain):
    """Every quantized tensor of the file, decoded by llama.cpp's library, against the decoded folder."""
    ggml = ctypes.CDLL(glob.glob(os.path.dirname(xlc.__file__) + "/*.so")[0])
    config, ours, wrong, count = json.load(open(Path(plain) / "config.json")), load_weights(plain), 0, 0
    matrices, scales = split_scales(gguf.GGUFReader(str(gguf_path)))
    for tensor in matrices:
        kind = tensor.tensor_type.name
        if kind in ("F32", "BF16"):
            continue
        expected = ours[hugging_face_name(tensor.name)].astype(np.float32)
        if ".attn_q." in tensor.name or ".attn_k." in tensor.name:
            expected = interleave(expected, config["num_attention_heads" if ".attn_q." in tensor.name else "num_key_value_heads"])
        decode = getattr(ggml, "dequantize_row_" + (kind[:-1].lower() + "K" if kind.endswith("_K") else kind.lower()))
        decode.argtypes, decode.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64], None
        blocks, decoded = np.ascontiguousarray(tensor.data), np.empty(expected.shape, np.float32)
        decode(blocks.ctypes.data, decoded.ctypes.data, decoded.size)
        decoded *= scales.get(tensor.name, np.float32(1))
        wrong, count = wrong + (not np.array_equal(decoded, expected)), count + 1
    expect(f"{name}: tensors that differ from ggml's decode", wrong, 0)
    expect(f"{name}: quantized tensors", count, quantized_tensors(config))


def compare(name, gguf_path, plain, windows, vocabulary, quantized, plain_id=None):
    """`plain`: the Hugging Face folder with the same weights decoded; our logits come from there."""
    if plain_id is None:
        plain_id = json.load(open(Path(plain) / "tokenizer.json"))["model"]["vocab"]["a"]
    server = Server(gguf_path, windows.shape[1] + 8)
    worst, theirs, mine = 0.0, 0.0, 0.0
    start = windows.shape[1] // 2
    for ids in windows.tolist():
        ours = log_softmax(our_logits(plain, ids))
        for t in range(start, len(ids) - 1):
            reference = server.next_log_probabilities(ids[:t + 1], vocabulary, plain_id)
            likely = reference > -12  # a log-probability far down carries no information in fp32
            worst = max(worst, float(np.abs(reference - ours[t])[likely].max()))
            theirs -= reference[ids[t + 1]]
            mine -= ours[t, ids[t + 1]]
    scored = windows.shape[0] * (windows.shape[1] - 1 - start)
    print(f"note: {name}: PPL {np.exp(mine / scored):.5f} ours, {np.exp(theirs / scored):.5f} llama.cpp, worst log-probability difference {worst:.2e}")
    if quantized:
        # Rounding the inputs of products (for K types with one scale for 256) moves the log-probability of a token by some 0.025
        # (measured over 190); four standard errors of their mean.
        expect(f"{name}: perplexity ratio", float(np.exp((theirs - mine) / scored)), 1.0, 4 * 0.025 / scored ** 0.5)
    else:
        expect(f"{name}: log-probabilities", worst, 0.0, 1e-4)


def judge_unquantized(name, model, work, windows, vocabulary):
    unquantized = work / f"{name}.gguf"
    frugal("export", model, "--format", "gguf", "--out", unquantized)
    plain = work / f"{name}-plain"
    frugal("export", model, "--format", "huggingface", "--out", plain)
    # bf16 weights: llama.cpp rounds activations to bf16 in those products, so 1e-4 cannot be asked for
    compare(f"{name} bf16", unquantized, plain, windows[:1], vocabulary, True)


def judge_grids(name, model, text, work, windows, vocabulary, grids, options):
    for grid in grids:
        checkpoint, out, plain = (work / f"{name}-{grid}{suffix}".replace(":", "-") for suffix in ("", ".gguf", "-plain"))
        frugal("quantize", model, "--grid", grid, "--calibration", text, *options, "--out", checkpoint)
        frugal("export", checkpoint, "--format", "gguf", "--out", out)
        frugal("export", checkpoint, "--format", "huggingface", "--out", plain)
        if grid != "q2_0":  # which gguf (Python) cannot read; tests/grid/golden has ggml's decode
            compare_weights(f"{name} {grid}", out, plain)
        compare(f"{name} {grid}", out, plain, windows, vocabulary, True)


with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    random = np.random.default_rng(3)
    seeded = make_llama(work / "seeded", tied=False, scaling={"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                                               "original_max_position_embeddings": 32})
    frugal("export", seeded, "--format", "gguf", "--out", work / "seeded-f32.gguf")
    compare("seeded llama3 scaling", work / "seeded-f32.gguf", seeded, random.integers(1, 384, (1, 96)), 384, False)
    # In several files, which llama.cpp finds by the first: the very numbers of the one file.
    frugal("export", seeded, "--format", "gguf", "--max-shard-size", "1MB", "--out", work / "cut.gguf")
    parts, ids = sorted(work.glob("cut-*-of-*.gguf")), random.integers(1, 384, 24).tolist()
    expect_true(f"seeded in {len(parts)} files", len(parts) > 2)
    plain_id = json.load(open(seeded / "tokenizer.json"))["model"]["vocab"]["a"]
    whole, cut = (Server(path, 64).next_log_probabilities(ids, 384, plain_id) for path in (work / "seeded-f32.gguf", parts[0]))
    expect("seeded in several files: log-probabilities", float(np.abs(whole - cut).max()), 0.0)
    # A hidden size that is not heads times head size, refitted in its principal directions.
    text = ["--calibration", work / "seeded-text.txt", "--windows", "8", "--sequence-length", "64"]
    frugal("rotate", seeded, "--kind", "pca", *text, "--out", work / "turned")
    frugal("prune", work / "turned", "--channels", "0.75", *text, "--out", work / "narrow")
    expect("narrow: hidden size", json.load(open(work / "narrow/config.json"))["hidden_size"], 192)
    frugal("export", work / "narrow", "--format", "gguf", "--out", work / "narrow.gguf")
    compare("seeded without a quarter of its channels", work / "narrow.gguf", work / "narrow", random.integers(1, 384, (1, 48)), 384, False)

    stories = real("stories260K/hf")
    if stories:
        model = copy_model(stories, work / "stories-hf", (DATA / "stories260K/tok512.bin", "tokenizer.bin"))
        frugal("export", model, "--format", "gguf", "--out", work / "stories.gguf")
        compare("stories260K", work / "stories.gguf", model, random.integers(3, 512, (1, 64)), 512, False, plain_id=403)
        greedy = our_greedy(model, [1, 403, 407], 24)
        server, theirs = Server(work / "stories.gguf", 64), [1, 403, 407]
        for _ in greedy:
            theirs.append(int(server.next_log_probabilities(theirs, 512, 403).argmax()))
        expect_true("stories260K: greedy ids", theirs[3:] == greedy, str(greedy))
    novels = real("novels-7m/hf")
    if novels:
        from tokenizers import Tokenizer
        ids = Tokenizer.from_file(str(novels / "tokenizer.json")).encode(
            (DATA / "english-novels-100/Bennet_Helen_1910.txt").read_text(encoding="utf-8")[:6000]).ids
        windows = np.array(ids[:2 * 192]).reshape(2, 192)
        calibration = DATA / "english-novels-100/Doyle_Hound_1902.txt"
        judge_unquantized("novels-7m", novels, work, windows, 4096)
        judge_grids("novels-7m", novels, calibration, work, windows, 4096, ("q8_0", "q4_0", "iq4_nl", "q4_k"), ["--sequence-length", "256", "--windows", "8"])
        # The others differ only in grid and decode: round to nearest, and half of one window.
        judge_grids("novels-7m", novels, calibration, work, windows[:1, :96], 4096, ("q4_1", "q5_0", "q5_1", "q2_k", "q3_k", "q5_k", "q6_k", "iq4_xs",
                                                                           "mxfp4", "nvfp4", "nvfp4:e0", "q2_0", "tq2_0"),
              ["--sequence-length", "256", "--windows", "2", "--method", "rtn"])
finish()
