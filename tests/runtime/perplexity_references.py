#!/usr/bin/env python3
"""Protocols gptq-<L> and lmeval-<L> against their originals on the same weights: GPTQ's evaluator (llama.py of IST-DASLab/gptq, in plain
torch) and lm-evaluation-harness' loglikelihood_rolling (wheel lm_eval 0.4.13 with torch and transformers).

    perplexity_references.py --frugal build/release/bin/frugal [MODEL...] [--length 128] [--documents 12]

MODEL: Hugging Face folders; without one a seeded Llama made on the spot. The documents are pages with headings, blank lines, characters
beyond ASCII and special pieces. Exit code 1 where something differs.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from common import expect, finish, make_llama, steps_of

NLL = 2e-5  # nats a token: fp32 in other shapes, averaged over hundreds of tokens


def documents(count):
    words = "lamp river Größe stone 東京 quiet numbers 12,345 café green — and the of a".split()
    random = np.random.default_rng(11)
    pages = []
    for page in range(count):
        lines = [" ".join(random.choice(words, random.integers(5, 30))) for _ in range(random.integers(2, 9))]
        pages.append(f"= Page {page} =\n\n" + "  \n".join(lines) + ("\n<|endoftext|> and more\n" if page % 4 == 1 else ""))
    return pages


@torch.no_grad()
def gptq(model, tokenizer, pages, length):
    """opt_eval/llama_eval: the test set joined by blank lines, disjoint windows, sum of mean cross-entropies times length."""
    ids = tokenizer("\n\n".join(pages), return_tensors="pt", add_special_tokens=False).input_ids
    windows = ids.numel() // length
    nlls = []
    for i in range(windows):
        batch = ids[:, i * length:(i + 1) * length]
        logits = model(batch).logits
        loss = torch.nn.CrossEntropyLoss()(logits[:, :-1, :].reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1))
        nlls.append(loss.double() * length)
    return float(torch.exp(torch.stack(nlls).sum() / (windows * length))), windows


def lmeval(path, pages, length, folder):
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    file = folder / "pages.jsonl"
    file.write_text("".join(json.dumps({"page": page}) + "\n" for page in pages))
    task = {"task": "pages", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(file)}}, "output_type": "loglikelihood_rolling",
            "test_split": "test", "doc_to_text": "", "doc_to_target": "{{page}}", "metric_list": [
                {"metric": name, "aggregation": "weighted_perplexity" if name != "bits_per_byte" else name, "higher_is_better": False}
                for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")]}
    model = HFLM(pretrained=str(path), dtype="float32", batch_size=1, device="cpu", max_length=length)
    results = lm_eval.simple_evaluate(model=model, tasks=[task], bootstrap_iters=0)["results"]["pages"]
    return {name: results[f"{name},none"] for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")}


def frugal(arguments, model, data, protocol, run, *more):
    subprocess.run([arguments.frugal, "evaluate", str(model), "--perplexity", str(data), "--protocol", protocol, "--idle-seconds", "0",
                    "--run", str(run), *more], check=True, cwd=run.parent)
    return {s["name"]: s for s in list(steps_of(run).values())[-1]["statistics"]}


def judge(name, path, arguments, folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    folder.mkdir()
    pages, length = documents(arguments.documents), arguments.length
    (folder / "rows.jsonl").write_text("".join(json.dumps({"text": page}) + "\n" for page in pages))
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    value, windows = gptq(model, AutoTokenizer.from_pretrained(path), pages, length)
    mine = frugal(arguments, path, folder / "rows.jsonl", f"gptq-{length}", folder / "gptq")["perplexity"]
    expect(f"{name}: gptq-{length}, windows", mine["n"], windows)
    expect(f"{name}: gptq-{length}, ln of the perplexity", np.log(mine["value"]), np.log(value), NLL)
    theirs = lmeval(path, pages, length, folder)
    mine = frugal(arguments, path, folder / "rows.jsonl", f"lmeval-{length}", folder / "lmeval")
    for metric in theirs:
        ours, other = mine[metric]["value"], theirs[metric]
        tokens_per_unit = np.log(mine[metric]["value"]) / np.log(mine["perplexity"]["value"]) if metric != "bits_per_byte" else 1.0
        logs = (ours, other) if metric == "bits_per_byte" else (np.log(ours), np.log(other))
        expect(f"{name}: lmeval-{length}, {'ln of ' if metric != 'bits_per_byte' else ''}{metric}", *map(float, logs), NLL * max(1.0, tokens_per_unit) * 1.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("--frugal", required=True, type=os.path.abspath)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--documents", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        models = arguments.models or [make_llama(folder / "seeded", tied=False)]
        for number, model in enumerate(models):
            judge(model.name, model, arguments, folder / str(number))
    finish()


if __name__ == "__main__":
    main()
