#!/usr/bin/env python3
"""Quality at equal bytes: frugal's GPTQ and round-to-nearest against llama-quantize with an importance matrix.

One run, one model, the same calibration tokens for all, decoder matrices only (embedding kept), every matrix of one type. Quality is
the mean KL divergence of each to the unquantized model over held-out windows, by `frugal evaluate`; llama-quantize's file is decoded
by `gguf` (Python) into a plain folder first, so that the same code scores all of them.

usage: against_llama_quantize.py MODEL CALIBRATION.txt... --held-out TEXT.txt [--windows 64] [--length 256] [--held-out-windows 60]
                                 [--grids q4_0 iq4_nl q4_k q8_0] [--frugal build/release/bin/frugal] [--llama-python PYTHON]

Needs NumPy, tokenizers, gguf (scripts/setup --tests); --llama-python: a Python that has llama-cpp-python==0.3.36 (it compiles on
install, some minutes); without it that column is left out.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))
import common  # noqa: E402
from gguf_names import gguf_name, hugging_face_name  # noqa: E402

LLAMA_QUANTIZE = """
import ctypes, sys, numpy as np, llama_cpp as llama
source, out, kind, weights = sys.argv[1:]
llama.llama_backend_init()
p = llama.llama_model_quantize_default_params()
p.ftype, p.pure, p.nthread = getattr(llama, "LLAMA_FTYPE_MOSTLY_" + kind), True, 2
p.token_embedding_type = 0  # F32: kept
held = []
for name, w in np.load(weights).items():
    w = np.ascontiguousarray(w, dtype=np.float32)
    held.append((w, llama.llama_model_imatrix_data(name.encode(), w.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), w.size)))
table = (llama.llama_model_imatrix_data * (len(held) + 1))(*[e for _, e in held], llama.llama_model_imatrix_data(None, None, 0))
p.imatrix = table
sys.exit(llama.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(p)))
"""
TYPES = {"q4_0": "Q4_0", "iq4_nl": "IQ4_NL", "q4_k": "Q4_K_S", "q8_0": "Q8_0", "q4_1": "Q4_1", "q5_0": "Q5_0", "q5_1": "Q5_1",
         "q2_k": "Q2_K", "q3_k": "Q3_K_S", "q5_k": "Q5_K_S", "q6_k": "Q6_K"}


def calibration_ids(model, texts, windows, length):
    """The windows that frugal takes: documents joined by an empty line, evenly spread over the stream."""
    from tokenizers import Tokenizer
    text = "\n\n".join(Path(t).read_text(encoding="utf-8") for t in texts)
    ids = Tokenizer.from_file(str(Path(model) / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    available = len(ids) // length
    return [ids[(i * available // windows) * length:][:length] for i in range(min(windows, available))]


def importance(model, windows):
    sums, weights, tokens = {}, common.load_weights(model), 0
    def tap(name, x):
        sums[name] = sums.get(name, 0) + (x * x).sum(0)
    for ids in windows:
        common.numpy_llama(model, ids, weights, tap)
        tokens += len(ids)
    return {gguf_name(name): (value / tokens).astype(np.float32) for name, value in sums.items()}


def decode(gguf_path, model, folder):
    """llama.cpp's file as a plain Hugging Face folder with fp32 weights."""
    from safetensors.numpy import save_file
    config = json.load(open(Path(model) / "config.json"))
    folder.mkdir()
    tensors = {}
    for tensor in gguf.GGUFReader(str(gguf_path)).tensors:
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(tensor.shape[::-1].tolist())
        heads = config["num_attention_heads"] if ".attn_q." in tensor.name else config["num_key_value_heads"] if ".attn_k." in tensor.name else 0
        if heads:
            value = value.reshape(heads, -1, 2, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        tensors[hugging_face_name(tensor.name)] = np.ascontiguousarray(value)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config["torch_dtype"] = "float32"
    json.dump(config, open(folder / "config.json", "w"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((Path(model) / name).read_bytes())


def decoder_bytes(gguf_path):
    return sum(int(t.n_bytes) for t in gguf.GGUFReader(str(gguf_path)).tensors if t.name.startswith("blk.") and len(t.shape) == 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model"), parser.add_argument("calibration", nargs="+"), parser.add_argument("--held-out", required=True)
    parser.add_argument("--windows", type=int, default=64), parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--held-out-windows", type=int, default=60)
    parser.add_argument("--grids", nargs="+", default=["q4_0", "iq4_nl", "q4_k", "q8_0"])
    parser.add_argument("--frugal", default=common.FRUGAL), parser.add_argument("--llama-python")
    parser.add_argument("--options", nargs="*", default=[], help="further options of frugal quantize --method gptq")
    a = parser.parse_args()
    common.FRUGAL = a.frugal
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)

        def score(folder):
            done = common.frugal("evaluate", folder, "--reference", a.model, "--perplexity", a.held_out, "--protocol", f"gptq-{a.length}",
                                 "--windows", a.held_out_windows, "--json", "--cache", work / "cache")
            steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            values = {s["name"]: s["value"] for e in steps if e["event"] == "step_end" for s in e["statistics"]}
            return values["kld/mean"], values["kld/same_top"], values["perplexity"]

        common.frugal("export", a.model, "--format", "gguf", "--out", work / "source.gguf")
        if a.llama_python:
            np.savez(work / "importance.npz", **importance(a.model, calibration_ids(a.model, a.calibration, a.windows, a.length)))
        calibration = a.calibration[0]
        if len(a.calibration) > 1:
            calibration = work / "calibration.txt"
            calibration.write_text("\n\n".join(Path(t).read_text(encoding="utf-8") for t in a.calibration), encoding="utf-8")
        print(f"| grid | decoder bytes | method | KLD | same top token | PPL | KLD against llama-quantize |\n|---|---:|---|---:|---:|---:|---:|")
        for grid in a.grids:
            rows, size = [], None
            if a.llama_python:
                out = work / f"llama-{grid}.gguf"
                subprocess.run([a.llama_python, "-c", LLAMA_QUANTIZE, work / "source.gguf", out, TYPES[grid], work / "importance.npz"], check=True, capture_output=True)
                decode(out, a.model, work / f"llama-{grid}")
                rows.append(("llama-quantize, imatrix", score(work / f"llama-{grid}")))
                size = decoder_bytes(out)
            for method in ("rtn", "gptq"):
                folder = work / f"{method}-{grid}"
                common.frugal("quantize", a.model, "--grid", grid, "--method", method, "--calibration", calibration, "--windows", a.windows,
                              "--sequence-length", a.length, *(a.options if method == "gptq" else []), "--out", folder, "--cache", work / "cache")
                rows.append((f"frugal {method}", score(folder)))
                common.frugal("export", folder, "--format", "gguf", "--out", work / f"{method}-{grid}.gguf")
                ours = decoder_bytes(work / f"{method}-{grid}.gguf")
                size = size or ours
                assert ours == size, f"{grid}: {ours} bytes against {size}: the comparison is not at equal bytes"
            for name, (kld, top, ppl) in rows:
                ratio = f"{kld / rows[0][1][0]:.2f}×" if a.llama_python else "–"
                print(f"| {grid} | {size:,} | {name} | {kld:.6f} | {100 * top:.2f}% | {ppl:.3f} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
