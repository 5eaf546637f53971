# needs: json
"""Kill -9 at ten random moments of the quickstart (with few training steps), each time started again: the artifacts end byte-equal to
those of an unbroken run, and a run after that takes everything from the cache."""
import hashlib
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from common import *
from short_quickstart import short_quickstart

KILLS = 10


def short_pipeline(folder):
    path = folder / "short.yaml"
    path.write_text(short_quickstart())
    return path


def start(pipeline, folder):
    command = [FRUGAL, "run", str(pipeline), "--out", str(folder / "run"), "--cache", str(folder / "cache"), "--idle-seconds", "0", "--quiet"]
    return subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish_run(pipeline, folder):
    begin = time.monotonic()
    process = start(pipeline, folder)
    output, _ = process.communicate()
    if process.returncode != 0:
        print(output[-3000:])
        raise SystemExit(f"frugal run ended with {process.returncode}")
    return time.monotonic() - begin


def fingerprints(folder):
    """SHA-256 of every checkpoint and artifact file, through the links into the cache; model cards apart, which tell measured energy."""
    found = {}
    for kind in ("artifacts", "checkpoints"):
        for parent, _, names in os.walk(folder / "run" / kind, followlinks=True):
            for name in names:
                if kind == "artifacts" and name.endswith(".md"):
                    continue
                path = Path(parent) / name
                found[str(path.relative_to(folder / "run"))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


with tempfile.TemporaryDirectory() as work:
    whole, broken = Path(work) / "whole", Path(work) / "broken"
    whole.mkdir(), broken.mkdir()
    pipeline = short_pipeline(Path(work))
    seconds = finish_run(pipeline, whole)
    moments = random.Random(2026)
    killed = 0
    for _ in range(KILLS):
        process = start(pipeline, broken)
        try:
            process.communicate(timeout=0.3 + moments.random() * seconds * 0.3)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
    print(f"note: an unbroken run took {seconds:.1f} s; {killed} of {KILLS} runs were killed before their end")
    expect_true("runs were killed at all", killed >= 3, str(killed))
    finish_run(pipeline, broken)
    expected, found = fingerprints(whole), fingerprints(broken)
    expect_true("there are artifacts to compare", any(name.endswith(".gguf") for name in expected), f"{len(expected)} files")
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    expect("files that differ after ten kills", len(differing), 0)
    print("\n".join(differing[:10]))
    before = (broken / "run" / "journal.jsonl").read_text().count("\n")
    again = finish_run(pipeline, broken)
    events = [json.loads(line) for line in (broken / "run" / "journal.jsonl").read_text().splitlines()[before:]]
    expect("steps of a further run that were not cached", sum(1 for e in events if e["event"] == "step_end" and not e["cached"]), 0)
    print(f"note: it took {again:.2f} s")
finish()
