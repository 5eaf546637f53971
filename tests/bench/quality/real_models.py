#!/usr/bin/env python3
"""One real language model, several tools, several kinds of text: divergence with its tail, size, CPU seconds and memory.

Whole files as a user gets them, embedding and head included: frugal's GGUF beside llama.cpp's rounding of the same types (the function
that llama-quantize calls), with an importance matrix over the same calibration windows; int4 in groups beside GPTQModel's, llm-compressor's and auto-round's (decoder matrices alone).
Every result is scored by the same `frugal evaluate`, against the model it was made of, on every held-out text. llama.cpp's weights
are decoded and run in the same fp32 forward as all others.

usage: real_models.py MODEL --calibration TEXT --held-out NAME=FILE ... --work DIR [--grids q4_0 q4_k_m q3_k_m int4:g32]
                      [--recipes fast] [--windows 32] [--length 512] [--held-out-windows 10] [--options=--damping=0.02 ...]
                      [--torch-python P] [--gptqmodel-python P] [--llmcompressor-python P] [--autoround-python P]
                      [--iterations 200] [--frugal build/release/bin/frugal]

MODEL: a Hugging Face folder. FILE: plain text, or *.jsonl with `messages`, which goes through the model's chat template.
--torch-python: an interpreter with transformers, for the importance matrix (mean squares of the inputs of every matrix).
What was made and scored stays in --work; a second call makes only what is not there. One thread each. Peers: setup_peers.sh.
"""
import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

import peer_common  # first: one thread for whatever is imported after it
import common
import numpy as np
import peer_formats as formats
from gguf_names import gguf_name
from peer_common import HERE, run_measured, run_worker

GROUPS = {"int4:g32": 32, "int4:g64": 64, "int4:g128": 128}
HELD_OUT = 8  # windows that frugal keeps for choosing its strengths: its default


def named(pair):
    name, _, file = pair.partition("=")
    if not name or not Path(file).is_file():
        raise argparse.ArgumentTypeError(f"'{pair}' is not NAME=FILE of a file that is there")
    return name, Path(file).resolve()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=lambda p: Path(p).resolve())
    parser.add_argument("--calibration", type=Path, required=True), parser.add_argument("--held-out", type=named, nargs="+", required=True)
    parser.add_argument("--work", type=lambda p: Path(p).resolve(), required=True)
    parser.add_argument("--grids", nargs="+", default=["q4_0", "q4_k_m", "q3_k_m"]), parser.add_argument("--recipes", nargs="+", default=["fast"])
    parser.add_argument("--windows", type=int, default=32), parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--held-out-windows", type=int, default=10), parser.add_argument("--options", nargs="*", default=[])
    parser.add_argument("--iterations", type=int, default=200), parser.add_argument("--frugal", default=common.FRUGAL)
    for tool in ("torch", "gptqmodel", "llmcompressor", "autoround"):
        parser.add_argument(f"--{tool}-python")
    return parser.parse_args()


class Work:
    """Everything in one folder, each result made once: a folder with `made` (a GGUF file or a model folder) and cost.json."""

    def __init__(self, a):
        self.a = a
        a.work.mkdir(parents=True, exist_ok=True)
        text = a.calibration.read_text(encoding="utf-8")
        ids = peer_common.calibration_ids(a.model, text, a.windows, a.length, HELD_OUT)
        weights = "".join(f"{p.name} {p.stat().st_size}" for p in sorted(a.model.glob("*.safetensors")))
        self.key = hashlib.sha256(json.dumps([ids, weights, a.options]).encode()).hexdigest()[:8]
        self.ids = a.work / f"ids-{self.key}.json"
        self.ids.write_text(json.dumps(ids))

    def once(self, name, make):
        folder = self.a.work / f"{name.replace(':', '-')}-{self.key}"
        if not (folder / "cost.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            cost = make(folder)
            (folder / "cost.json").write_text(json.dumps(cost))
        return folder

    def source(self):
        def make(folder):
            common.frugal("export", self.a.model, "--format", "gguf", "--out", folder / "made.gguf")
            return {}
        return self.once("source", make) / "made.gguf"

    def importance(self):
        def make(folder):
            cost = run_worker([self.a.torch_python, HERE / "peer_worker.py", "importance", self.a.model, self.ids, folder / "hf.npz", "-", "-"], folder / "log.txt")
            np.savez(folder / "made.npz", **{gguf_name(name): value for name, value in np.load(folder / "hf.npz").items()})
            return cost
        return self.once("importance", make) / "made.npz"

    def llama(self, grid):
        """Types as llama-quantize chooses them, as frugal's rtn does; its codes take the place of rtn's."""
        def make(folder):
            out = folder / "made.gguf"
            shutil.copyfile(self.frugal("rtn", grid) / "made.gguf", out)
            cost = run_worker([sys.executable, HERE / "peer_worker.py", "ggml", self.source(), self.importance(), out, "-", "-"], folder / "log.txt")
            return cost | {"cpu": peer_common.working_cpu(cost), "bytes": out.stat().st_size}
        return self.once(f"llama.cpp {grid}", make)

    def frugal(self, recipe, grid):
        def make(folder):
            out = folder / ("made" if grid in GROUPS else "made.gguf")
            keep = [] if grid not in GROUPS else ["--embeddings", "keep", "--head", "keep"]
            text = ["--calibration", self.a.calibration.resolve(), "--windows", self.a.windows, "--sequence-length", self.a.length] if recipe != "rtn" else []
            cost = run_measured([common.FRUGAL, "quantize", self.a.model, "--grid", grid, "--recipe", recipe, *text, *keep, *self.a.options,
                                 "--out", out, "--cache", folder / "cache", "--json"], folder / "log.txt")
            shutil.rmtree(folder / "cache")
            return cost | {"bytes": out.stat().st_size if out.is_file() else sum(formats.frugal_bytes(out).values())}
        return self.once(f"frugal {recipe} {grid}", make)

    def peer(self, tool, grid):
        def make(folder):
            cost = run_worker([getattr(self.a, f"{tool}_python"), HERE / "peer_worker.py", tool, self.a.model, self.ids, folder / "packed", GROUPS[grid],
                               self.a.iterations if tool == "autoround" else 0], folder / "log.txt")
            parts = formats.plain_from_safetensors(folder / "packed", self.a.model, folder / "made")
            return cost | {"cpu": peer_common.working_cpu(cost), "bytes": sum(parts.values())}
        return self.once(f"{tool} {grid}", make)

    def results(self):
        """(tool, grid, folder) of everything that can be made with the interpreters given."""
        for grid in self.a.grids:
            for recipe in self.a.recipes:
                yield f"frugal {recipe}", grid, lambda: self.frugal(recipe, grid)
            if grid not in GROUPS and self.a.torch_python:
                yield "llama.cpp, imatrix", grid, lambda: self.llama(grid)
            for tool in ("gptqmodel", "llmcompressor", "autoround") if grid in GROUPS else ():
                if getattr(self.a, f"{tool}_python"):
                    yield f"{tool} {self.a.iterations}" if tool == "autoround" else tool, grid, lambda: self.peer(tool, grid)

    def score(self, folder, name, file):
        """Statistics of one result on one text, by name."""
        known = folder / f"score-{name}-{self.a.held_out_windows}.json"
        if not known.exists():
            made = next(p for p in (folder / "made.gguf", folder / "made") if p.exists())
            chat = ["--data-chat"] if file.suffix == ".jsonl" else []
            # A file of weights is run in frugal's forward: what differs is the weights alone.
            own = ["--runtime", "frugal"] if made.suffix == ".gguf" else []
            done = common.frugal("evaluate", made, "--reference", self.a.model, "--perplexity", file, *chat, *own, "--protocol", f"gptq-{self.a.length}",
                                 "--windows", self.a.held_out_windows, "--json", "--cache", folder / "cache")
            shutil.rmtree(folder / "cache")
            ends = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{") and '"step_end"' in line]
            known.write_text(json.dumps({s["name"]: s for e in ends for s in e["statistics"]}))
        return json.loads(known.read_text())


def print_cost(rows):
    print("\n| grid | made by | MB | CPU s | peak MB |\n|---|---|---:|---:|---:|")
    for tool, grid, cost, _ in rows:
        print(f"| {grid} | {tool} | {cost['bytes'] / 1e6:.1f} | {cost['cpu']:.0f} | {cost['peak_bytes'] / 1e6:.0f} |")


def cell(scores):
    mean = scores["kld/mean"]
    tail = " ".join(f"{scores[key]['value']:.2f}" for key in ("kld/p99", "kld/p99.9") if key in scores)
    return f"{mean['value']:.4f} [{mean['low']:.4f}, {mean['high']:.4f}] · {tail} · {scores['kld/same_top']['value']:.1%}"


def print_quality(rows, texts):
    print("\nmean KL [95%] · KL at p99, p99.9 · same top token\n\n| grid | made by | " + " | ".join(texts) + " |\n|---|---|" + "---|" * len(texts))
    for tool, grid, _, scores in rows:
        print(f"| {grid} | {tool} | " + " | ".join(cell(scores[name]) for name in texts) + " |")
    print("\nmean KL, frugal's by the other's\n\n| grid | beside | " + " | ".join(texts) + " |\n|---|---|" + "---:|" * len(texts))
    for tool, grid, _, ours in (row for row in rows if row[0].startswith("frugal")):
        for other, _, _, theirs in (row for row in rows if row[1] == grid and not row[0].startswith("frugal")):
            print(f"| {grid} | {tool} / {other} | " + " | ".join(f"{ours[n]['kld/mean']['value'] / theirs[n]['kld/mean']['value']:.2f}" for n in texts) + " |")


def main():
    a = arguments()
    common.FRUGAL = str(Path(a.frugal).resolve())
    work, rows = Work(a), []
    for tool, grid, make in work.results():
        folder = make()
        scores = {name: work.score(folder, name, file) for name, file in a.held_out}
        rows.append((tool, grid, json.loads((folder / "cost.json").read_text()), scores))
        print(f"{tool} {grid}: " + ", ".join(f"{name} {s['kld/mean']['value']:.4f}" for name, s in scores.items()), file=sys.stderr, flush=True)
    print_cost(rows)
    print_quality(rows, [name for name, _ in a.held_out])


if __name__ == "__main__":
    main()
