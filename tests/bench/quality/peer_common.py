"""What the comparisons with other tools share: calibration windows, a measured child process, the score of a folder, ratios and their bars.

Importing it sets one thread for every library, here and in children.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", TOKENIZERS_PARALLELISM="false",
                  HF_HUB_OFFLINE="1")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "runtime")]
import common  # noqa: E402


def encode(model, text):
    if (Path(model) / "tokenizer.json").exists():
        from tokenizers import Tokenizer
        return Tokenizer.from_file(str(Path(model) / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    import sentencepiece
    return sentencepiece.SentencePieceProcessor(model_file=str(Path(model) / "tokenizer.model")).encode(text)


def calibration_ids(model, text, windows, length, held_out=0):
    """The windows behind frugal's statistics: `windows` + `held_out` spread over the stream, less the evenly spread ones held out."""
    ids = encode(model, text)
    available, total = len(ids) // length, windows + held_out
    assert available >= total, f"the text has {available} windows of {length}, {total} are needed"
    kept = [i for i in range(total) if (i + 1) * held_out // total == i * held_out // total]
    return [ids[(i * available // total) * length:][:length] for i in kept]


def make_synthetic(out):
    """Random weights, 28 million with embedding and head: for time and memory, nothing that one could score."""
    common.make_llama(out, hidden=512, ffn=1536, layers=8, heads=8, kv_heads=4, vocabulary=4096, tied=False, context=1024)


def run_measured(command, log):
    """CPU and wall seconds and peak memory of a child; its output goes to `log`."""
    start = time.time()
    with open(log, "w") as out:
        child = subprocess.Popen([str(c) for c in command], stdout=out, stderr=subprocess.STDOUT, cwd=common.HERE)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))[:300]} exited with {child.returncode}:\n{Path(log).read_text()[-3000:]}")
    return {"wall": time.time() - start, "cpu": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * 1024}


def run_worker(command, log):
    """The same of a worker (peer_worker.py, published.py), as its last line tells it."""
    run_measured(command, log)
    return json.loads(next(line for line in reversed(Path(log).read_text(errors="replace").splitlines()) if line.startswith('{"version"')))


def working_cpu(cost):
    """A worker's CPU seconds without its imports."""
    return cost["cpu"] - cost["stages"]["import"]["cpu"]


def statistics(output):
    """What the passes of a run with --json reported."""
    steps = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {s["name"]: s["value"] for e in steps if e["event"] == "step_end" for s in e["statistics"]}


def score(folder, reference, held_out, length, windows):
    """Mean KL divergence to the reference (0 of itself), share of equal top tokens and perplexity over held-out windows."""
    with tempfile.TemporaryDirectory() as cache:
        done = common.frugal("evaluate", folder, "--reference", reference, "--perplexity", Path(held_out).resolve(), "--protocol", f"gptq-{length}",
                             "--windows", windows, "--json", "--cache", cache)
    values = statistics(done.stdout)
    return {"kld": values.get("kld/mean", 0.0), "top": values.get("kld/same_top", 1.0), "ppl": values["perplexity"]}


def number(row, key, form):
    return format(row[key], form) if key in row else "–"


def judged(value, bar):
    """A ratio, its bar and whether it is met."""
    return (f"{value:.3f}" if bar is None else f"{value:.3f} (bar {bar:.3g}: {'met' if value <= bar else 'MISSED'})"), bar is None or value <= bar
