#!/usr/bin/env python3
"""Quality, CPU time and memory at equal bits: frugal against GPTQModel, llm-compressor, auto-round and llama-quantize.

One model, the same calibration windows as token ids for all, decoder matrices only (embedding kept), one thread each. Every result is
decoded by readers of our own to a plain fp32 folder, so that the same `frugal evaluate` scores all of them: mean KL divergence to the
unquantized model, perplexity and share of equal top tokens over held-out windows. llama-quantize gets the mean square of each input
column over the same windows as its importance matrix.

CPU is user and system seconds of the process (of GPTQModel's not the compiler that it starts on first use), memory its peak; wall time says
nothing on a machine that does other things. A peer's CPU is given twice, whole and without importing its libraries; the bars of time are
held against the latter. frugal's is whole. Peers' results stay in --work and are not made again; frugal's always are.

usage: against_peers.py MODEL TEXT... --held-out TEXT.txt --work DIR [--windows 64] [--length 256] [--held-out-windows 60]
                        [--excerpt 14000] [--leave-out NAME...] [--grids int4:g32 ...] [--recipes fast best] [--options ...]
                        [--gptqmodel-python P] [--llmcompressor-python P] [--autoround-python P] [--iterations 50 200] [--llama-python P]
                        [--published-gptq] [--frugal build/release/bin/frugal] [--json FILE] [--check]

TEXT: a file, or a folder of .txt files, of each of which --excerpt characters from its middle are taken (none of --leave-out).
MODEL `synthetic`: random weights (width 512, 8 layers), for time and memory; nothing is scored.
frugal keeps 8 windows of the same text besides --windows for choosing its strengths; recipe `best` takes further ones for tuning, and
where it does its windows lie elsewhere in the text than the peers'. --check: exit 1 where a bar is missed.
--published-gptq: one more row for each int4 grid, GPTQ as in its paper (published.py, needs torch in this interpreter): what the plain
algorithm gives and takes without a library around it. Held against no bar.
Needs NumPy, safetensors, tokenizers (sentencepiece for models with a tokenizer.model alone), gguf; peers: setup_peers.sh.
"""
import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import peer_common  # first: one thread for whatever is imported after it
import common
import numpy as np
import peer_formats as formats
from gguf_names import gguf_name
from peer_common import HERE, judged, number, run_measured, run_worker

os.environ["GPTQMODEL_CPU_WORKERS"] = str(os.cpu_count())
LLAMA_TYPES = {"q4_0": "Q4_0", "iq4_nl": "IQ4_NL", "q4_k": "Q4_K_S", "q8_0": "Q8_0", "q4_1": "Q4_1", "q5_0": "Q5_0", "q5_1": "Q5_1",
               "q2_k": "Q2_K", "q3_k": "Q3_K_S", "q5_k": "Q5_K_S", "q6_k": "Q6_K"}
INT4 = {"int4:g32": 32, "int4:g64": 64, "int4:g128": 128}
HELD_OUT = 8  # frugal's default
# At most this share of the peer's KLD and of its CPU seconds, by recipe.
MORE_TEXT = ("best", "lowbit")  # these take as many windows of the text as they want
KLD_BARS = {("fast", "gptqmodel"): .5, ("fast", "llmcompressor"): .5, ("fast", "autoround-200"): .85, ("best", "autoround-200"): .7,
            **{("fast", "llama", g): v for g, v in {"q4_0": .4, "iq4_nl": .4, "q4_k": .45, "q3_k": .45, "q2_k": .5, "q6_k": 1}.items()},
            **{("best", "llama", g): .3 for g in ("q4_0", "iq4_nl", "q4_k", "q3_k", "q2_k")}}
CPU_BARS = {("fast", "gptqmodel"): 1 / 5, ("fast", "llmcompressor"): 1 / 5, ("fast", "autoround-200"): 1 / 10, ("best", "autoround-200"): 1 / 2}
MEMORY_BARS = {("fast", "gptqmodel"): 1, ("fast", "llmcompressor"): 1}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model"), parser.add_argument("text", nargs="+"), parser.add_argument("--held-out")
    parser.add_argument("--work", required=True, type=lambda p: Path(p).resolve())
    parser.add_argument("--windows", type=int, default=64), parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--held-out-windows", type=int, default=60)
    parser.add_argument("--excerpt", type=int, default=14000), parser.add_argument("--leave-out", nargs="*", default=[])
    parser.add_argument("--grids", nargs="+", default=["int4:g32", "int4:g128", *("q4_0", "iq4_nl", "q4_k", "q3_k", "q2_k", "q6_k")])
    parser.add_argument("--recipes", nargs="*", default=["fast"]), parser.add_argument("--iterations", nargs="*", type=int, default=[50, 200])
    parser.add_argument("--options", nargs="*", default=[], help="further options of frugal quantize, as one word each: --options=--damping=0.02")
    parser.add_argument("--frugal", default=common.FRUGAL), parser.add_argument("--json"), parser.add_argument("--check", action="store_true")
    parser.add_argument("--published-gptq", action="store_true")
    for peer in ("gptqmodel", "llmcompressor", "autoround", "llama"):
        parser.add_argument(f"--{peer}-python")
    return parser.parse_args()


def calibration_text(texts, excerpt, leave_out):
    """One text: files as they are, of folders an excerpt of every file; line ends become \\n, documents are joined by an empty line."""
    parts = []
    for path in map(Path, texts):
        if path.is_dir():
            for file in sorted(path.glob("*.txt")):
                if file.name not in leave_out:
                    text = file.read_text(encoding="utf-8")
                    parts.append(text[max(0, (len(text) - excerpt) // 2):][:excerpt])
        else:
            parts.append(path.read_text(encoding="utf-8"))
    return "\n\n".join(parts)


def digest(*things):
    return hashlib.sha256(json.dumps(things).encode()).hexdigest()[:12]


class Bench:
    def __init__(self, a):
        self.a, self.work = a, a.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.model = Path(a.model).resolve() if a.model != "synthetic" else self.synthetic()
        text = calibration_text(a.text, a.excerpt, a.leave_out)
        self.text = self.once(f"text-{digest(text)}.txt", lambda out: out.write_text(text, encoding="utf-8"))
        self.ids = peer_common.calibration_ids(self.model, text, a.windows, a.length, HELD_OUT)
        self.key = digest(self.ids, hashlib.sha256((self.model / "model.safetensors").read_bytes()).hexdigest())
        self.ids_file = self.once(f"ids-{self.key}.json", lambda out: out.write_text(json.dumps(self.ids)))
        self.plain = self.once(f"fp32-{self.key}", self.write_for_peers)

    def once(self, name, make):
        """A file or folder of the work folder, made where it is not there; complete or absent, even with two runs at once."""
        out = self.work / name
        if not out.exists():
            part = Path(tempfile.mkdtemp(dir=self.work, prefix="part-")) / name
            try:
                make(part)
                part.rename(out)
            except OSError:
                if not out.exists():
                    raise
            finally:
                shutil.rmtree(part.parent)
        return out

    def synthetic(self):
        return self.once("synthetic", peer_common.make_synthetic)

    def write_for_peers(self, out):
        """The model with fp32 weights. Peers read ids, but some refuse to start without a tokenizer.json: then one that knows nothing."""
        formats.write_plain(common.load_weights(self.model), self.model, out)
        if not (out / "tokenizer.json").exists():
            from tokenizers import Tokenizer, models
            Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2}, unk_token="<unk>")).save(str(out / "tokenizer.json"))
            names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
            (out / "tokenizer_config.json").write_text(json.dumps(names | {"tokenizer_class": "PreTrainedTokenizerFast"}))
            (out / "tokenizer.model").unlink()

    def importance(self):
        def make(out):
            sums, weights = {}, common.load_weights(self.model)
            for ids in self.ids:
                common.numpy_llama(self.model, ids, weights, lambda name, x: sums.__setitem__(name, sums.get(name, 0) + (x * x).sum(0)))
            tokens = sum(map(len, self.ids))
            np.savez(out, **{gguf_name(name): (value / tokens).astype(np.float32) for name, value in sums.items()})
        return self.once(f"importance-{self.key}.npz", make)

    def score(self, folder):
        if self.a.model == "synthetic":
            return {}
        return peer_common.score(folder, self.model, self.a.held_out, self.a.length, self.a.held_out_windows)

    def scored(self, folder):
        """The cached score of a decoded folder."""
        key = digest(hashlib.sha256(Path(self.a.held_out).read_bytes()).hexdigest(), self.a.held_out_windows) if self.a.held_out else "none"
        file = folder / f"score-{key}.json"
        if not file.exists():
            file.write_text(json.dumps(self.score(folder / "plain")))
        return json.loads(file.read_text())

    def peer(self, name, python, grid):
        """A row: what the peer's run cost, its bytes and its score."""
        kind, _, iterations = name.partition("-")

        def make(out):
            out.mkdir()
            if kind == "llama":
                source = self.once(f"source-{self.key}.gguf", lambda o: common.frugal("export", self.model, "--format", "gguf", "--out", o))
                parts = [source, self.importance(), out / "packed.gguf", LLAMA_TYPES[grid], "-"]
            elif kind != "published":
                parts = [self.plain, self.ids_file, out / "packed", INT4[grid], iterations or 0]
            if kind == "published":  # writes plain weights and knows its bytes
                cost = run_worker([python, HERE / "published.py", "gptq", self.plain, self.ids_file, out / "plain", INT4[grid]], out / "log.txt")
            else:
                cost = run_worker([python, HERE / "peer_worker.py", kind, *parts], out / "log.txt")
                decode = formats.plain_from_gguf if kind == "llama" else formats.plain_from_safetensors
                cost["bytes"] = decode(parts[2], self.model, out / "plain")
            (out / "cost.json").write_text(json.dumps(cost))
        folder = self.once(f"{name}-{grid.replace(':', '-')}-{self.key}", make)
        cost = json.loads((folder / "cost.json").read_text())
        return {"grid": grid, "method": name, **cost, "working_cpu": peer_common.working_cpu(cost), **self.scored(folder)}

    def frugal(self, recipe, grid):
        with tempfile.TemporaryDirectory(dir=self.work) as out:
            out = Path(out)
            windows = [] if recipe in MORE_TEXT else ["--windows", self.a.windows]
            cost = run_measured([common.FRUGAL, "quantize", self.model, "--grid", grid, "--recipe", recipe, "--calibration", self.text, *windows,
                                 "--sequence-length", self.a.length, "--embeddings", "keep", "--head", "keep", *self.a.options, "--out", out / "model", "--cache", out / "cache", "--json"],
                                out / "log.txt")
            return {"grid": grid, "method": f"frugal {recipe}", **cost, "working_cpu": cost["cpu"], "bytes": formats.frugal_bytes(out / "model"),
                    **self.score(out / "model")}


def fits(model, grid):
    """Whether every row of the decoder's matrices has whole groups."""
    config = json.load(open(model / "config.json"))
    group = INT4.get(grid) or (256 if grid.endswith("_k") else 32)
    return all(width % group == 0 for width in (config["hidden_size"], config["intermediate_size"], config["num_attention_heads"] * config["head_dim"]))


def peers_of(a, grid):
    if a.published_gptq and grid in INT4:
        yield "published", sys.executable
    wanted = ["llama"] if grid in LLAMA_TYPES else ["gptqmodel", "llmcompressor", "autoround"] if grid in INT4 else []
    for kind in wanted:
        python = getattr(a, f"{kind}_python")
        if python is None:
            print(f"note: {grid}: {kind} left out (no --{kind}-python)", flush=True)
            continue
        for name in [f"autoround-{n}" for n in a.iterations] if kind == "autoround" else [kind]:
            yield name, python


def print_rows(rows):
    print("\n| grid | method | KLD | same top | PPL | CPU s | without imports | wall s | peak MiB | decoder bytes |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for r in rows:
        parts = ", ".join(f"{name} {size:,}" for name, size in r["bytes"].items() if size) if len(r["bytes"]) > 1 else ""
        print(f"| {r['grid']} | {r['method']} | {number(r, 'kld', '.6f')} | {number(r, 'top', '.2%')} | {number(r, 'ppl', '.3f')} | {r['cpu']:.1f} | "
              f"{r['working_cpu']:.1f} | {r['wall']:.0f} | {r['peak_bytes'] / 2**20:.0f} | {sum(r['bytes'].values()):,}{f' ({parts})' if parts else ''} |")


def print_ratios(rows):
    """Ratios of frugal to each peer of the grid; returns whether every bar is met."""
    print("\n| grid | frugal / peer | KLD | CPU, whole | CPU, without imports | peak memory |\n|---|---|---|---|---|---|")
    good = True
    for ours in (r for r in rows if r["method"].startswith("frugal")):
        recipe = ours["method"].split()[1]
        for peer in (r for r in rows if r["grid"] == ours["grid"] and not r["method"].startswith("frugal")):
            key = (recipe, peer["method"])
            kld, met = judged(ours["kld"] / peer["kld"], KLD_BARS.get(key, KLD_BARS.get((*key, ours["grid"])))) if "kld" in ours else ("–", True)
            cpu, cpu_met = judged(ours["cpu"] / peer["working_cpu"], CPU_BARS.get(key))
            memory, memory_met = judged(ours["peak_bytes"] / peer["peak_bytes"], MEMORY_BARS.get(key))
            good = good and met and cpu_met and memory_met
            print(f"| {ours['grid']} | {recipe} / {peer['method']} | {kld} | {ours['cpu'] / peer['cpu']:.3f} | {cpu} | {memory} |")
    return good


def main():
    a = arguments()
    common.FRUGAL = os.path.abspath(a.frugal)
    assert a.held_out or a.model == "synthetic", "--held-out TEXT.txt is missing"
    bench, rows = Bench(a), []
    for grid in a.grids:
        if not fits(bench.model, grid):
            print(f"note: {grid} left out: the model's rows have no whole groups of it", flush=True)
            continue
        jobs = [(name, lambda name=name, python=python: bench.peer(name, python, grid)) for name, python in peers_of(a, grid)]
        jobs += [(f"frugal {recipe}", lambda recipe=recipe: bench.frugal(recipe, grid)) for recipe in a.recipes]
        for name, job in jobs:
            try:
                rows.append(job())
                print(json.dumps(rows[-1]), flush=True)
            except RuntimeError as error:  # one peer's failure must not lose the others' hours
                print(f"FAILED {grid} {name}: {error}", flush=True)
    if a.json:
        Path(a.json).write_text("".join(json.dumps(r) + "\n" for r in rows))
    print_rows(rows)
    good = print_ratios(rows)
    sys.exit(1 if a.check and not good else 0)


if __name__ == "__main__":
    main()
