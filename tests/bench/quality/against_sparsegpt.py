#!/usr/bin/env python3
"""Sparsity at equal zeros: frugal's mask refit and its SparseGPT sweep against SparseGPT as published.

One run, one model, the same calibration tokens for all, one thread each. The oracle is a plain torch implementation of the published
algorithm (published.py). Quality is the perplexity gap to the dense model and the mean KL divergence to it over held-out windows, both by
`frugal evaluate`.

CPU is user and system seconds, memory the peak of the process. frugal's is the whole process (start, tokenizing, reading, writing, report);
the oracle's is given twice, whole and without importing its libraries (loading, forwards, solving and writing), and the bar is held against
the latter. The oracle gets token ids. Wall time says nothing on a machine that does other things.

usage: against_sparsegpt.py MODEL CALIBRATION.txt... [--held-out TEXT.txt] [--windows 64] [--length 256] [--held-out-windows 60]
                            [--patterns 50% 2:4] [--solvers mask_refit sparsegpt] [--options ...] [--frugal build/release/bin/frugal] [--check]

MODEL `synthetic`: random weights (width 512, 8 layers, 28 million), for time and memory; nothing is scored.
--check: exit with 1 where the mask refit misses a bar: PPL gap at most 0.4 of SparseGPT's; CPU time at most SparseGPT's, on the synthetic model a
fifth of it.
Needs NumPy, torch, safetensors and tokenizers (sentencepiece for models with a tokenizer.model alone).
"""
import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import peer_common  # first: one thread for whatever is imported after it
import common
from peer_common import judged, number

GAP_BAR, CPU_BAR, SYNTHETIC_CPU_BAR = 0.4, 1, 1 / 5


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model"), parser.add_argument("calibration", nargs="+"), parser.add_argument("--held-out")
    parser.add_argument("--windows", type=int, default=64), parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--held-out-windows", type=int, default=60)
    parser.add_argument("--patterns", nargs="+", default=["50%", "2:4"]), parser.add_argument("--solvers", nargs="+", default=["mask_refit", "sparsegpt"])
    parser.add_argument("--frugal", default=common.FRUGAL), parser.add_argument("--check", action="store_true")
    parser.add_argument("--options", nargs="*", default=[], help="further options of frugal prune, as one word each: --options=--damping=0.02")
    return parser.parse_args()


class Bench:
    def __init__(self, a, work):
        self.a, self.work, self.scores = a, work, a.model != "synthetic"
        self.model = Path(a.model).resolve() if self.scores else work / "synthetic"
        if not self.scores:
            peer_common.make_synthetic(self.model)
        self.text, self.ids = work / "calibration.txt", work / "ids.json"
        self.text.write_text("\n\n".join(Path(t).read_text(encoding="utf-8") for t in a.calibration), encoding="utf-8")
        self.ids.write_text(json.dumps(peer_common.calibration_ids(self.model, self.text.read_text(encoding="utf-8"), a.windows, a.length)))
        self.dense = self.score(self.model)

    def score(self, folder):
        if not self.scores:
            return {}
        return peer_common.score(folder, self.model, self.a.held_out, self.a.length, self.a.held_out_windows)

    def row(self, pattern, method, cost, folder):
        result = {"pattern": pattern, "method": method, **cost, "bytes": sum(file.stat().st_size for file in folder.glob("*.safetensors")),
                  **self.score(folder)}
        return result | ({"gap": result["ppl"] - self.dense["ppl"]} if self.scores else {})

    def published(self, pattern):
        out, log = self.work / f"published-{pattern}", self.work / "log.txt"
        worker = [sys.executable, peer_common.HERE / "published.py", "sparsegpt", self.model, self.ids, out, pattern]
        cost = peer_common.run_worker(worker, log)
        return self.row(pattern, "SparseGPT, published", cost | {"working_cpu": peer_common.working_cpu(cost)}, out)

    def frugal(self, pattern, solver):
        out, log = self.work / f"{solver}-{pattern}", self.work / "log.txt"
        extra = ["--scope", "block"] if solver == "sparsegpt" else []
        cost = peer_common.run_measured(
            [common.FRUGAL, "prune", self.model, "--pattern", pattern, "--solver", solver, *extra, "--calibration", self.text, "--windows", self.a.windows,
             "--sequence-length", self.a.length, *self.a.options, "--out", out, "--cache", self.work / f"cache-{solver}-{pattern}", "--json"], log)
        zeros = peer_common.statistics(log.read_text(errors="replace"))["sparsity"]
        return self.row(pattern, f"frugal {solver}", cost | {"working_cpu": cost["cpu"], "zeros": zeros}, out)


def print_rows(rows):
    print("\n| pattern | method | zeros | PPL | gap | KLD | CPU s | without imports | wall s | peak MiB | bytes |\n"
          "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for r in rows:
        print(f"| {r['pattern']} | {r['method']} | {100 * r['zeros']:.3f}% | {number(r, 'ppl', '.4f')} | {number(r, 'gap', '.4f')} | "
              f"{number(r, 'kld', '.6f')} | {r['cpu']:.1f} | {r['working_cpu']:.1f} | {r['wall']:.0f} | {r['peak_bytes'] / 2**20:.0f} | {r['bytes']:,} |")


def print_ratios(rows, cpu_bar):
    """Ratios of frugal to SparseGPT; returns whether the mask refit meets every bar."""
    print("\n| pattern | frugal / SparseGPT | gap | KLD | CPU, whole | CPU, without imports | peak memory | bytes |\n|---|---|---|---|---|---|---|---|")
    good = True
    for ours in (r for r in rows if r["method"].startswith("frugal")):
        base = next(r for r in rows if r["pattern"] == ours["pattern"] and not r["method"].startswith("frugal"))
        held = ours["method"] == "frugal mask_refit"
        gap, met = judged(ours["gap"] / base["gap"], GAP_BAR if held else None) if "gap" in ours else ("–", True)
        kld = f"{ours['kld'] / base['kld']:.3f}" if "kld" in ours else "–"
        cpu, cpu_met = judged(ours["cpu"] / base["working_cpu"], cpu_bar if held else None)
        good = good and met and cpu_met
        print(f"| {ours['pattern']} | {ours['method']} | {gap} | {kld} | {ours['cpu'] / base['cpu']:.3f} | {cpu} | "
              f"{ours['peak_bytes'] / base['peak_bytes']:.3f} | {ours['bytes'] / base['bytes']:.3f} |")
    return good


def main():
    a = arguments()
    common.FRUGAL = os.path.abspath(a.frugal)
    assert a.held_out or a.model == "synthetic", "--held-out TEXT.txt is missing"
    with tempfile.TemporaryDirectory() as work:
        bench, rows = Bench(a, Path(work)), []
        print(f"{a.windows} x {a.length} calibration tokens" + (f"; dense PPL {bench.dense['ppl']:.4f}" if bench.scores else ""), flush=True)
        for pattern in a.patterns:
            rows += [bench.published(pattern), *(bench.frugal(pattern, solver) for solver in a.solvers)]
            print(json.dumps(rows[-1 - len(a.solvers):]), flush=True)
        print_rows(rows)
        good = print_ratios(rows, CPU_BAR if bench.scores else SYNTHETIC_CPU_BAR)
    sys.exit(1 if a.check and not good else 0)


if __name__ == "__main__":
    main()
