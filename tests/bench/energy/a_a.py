#!/usr/bin/env python3
"""A-A test of `frugal measure --reference`: one artifact under two names, measured in turns, again and again.

    a_a.py FRUGAL ARTIFACT [--pairs 20] [--rounds 10] [--seconds 0.3] [--beside 1] [--json FILE]

Nothing differs, so whatever is found different is an error of measuring. Prints for each quantity the share of pairs in which
frugal finds no significant difference, with its exact binomial interval (Clopper-Pearson), and exits with 1 where fewer than 95%
is more than chance (one-sided exact binomial test, 5% for all quantities together).

--beside N runs N processes beside it that compute and rest for random times: a machine is seldom at rest.
"""
import argparse
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

QUANTITIES = ("joules_per_request", "decode_tokens_per_second", "prefill_tokens_per_second", "latency_p50")
ERROR = 0.05  # that a pair may be found different by


def cdf(k, n, p):
    """P(X <= k) of a binomial."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


def bisect(holds):
    """The largest p in [0, 1] for which `holds`, which is true of 0 and false from some p on."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def binomial_interval(k, n, confidence=0.95):
    """Clopper and Pearson's interval of a share of k in n."""
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else bisect(lambda p: 1 - cdf(k - 1, n, p) < tail)
    high = 1.0 if k == n else bisect(lambda p: cdf(k, n, p) > tail)
    return low, high


def chance_of_so_many(found, n):
    """P of `found` or more pairs of n found different, where each is with probability ERROR."""
    return 1.0 if found == 0 else 1 - cdf(found - 1, n, ERROR)


def work_beside(seed):
    """Computes and rests for random times until it is ended."""
    lot = random.Random(seed)
    while os.getppid() != 1:
        end = time.monotonic() + lot.expovariate(1 / 1.5)
        while time.monotonic() < end:
            sum(i * i for i in range(20000))
        time.sleep(lot.expovariate(1 / 1.5))


def measure(arguments, folder, names, pair):
    run = folder / f"run-{pair}"
    command = [arguments.frugal, "measure", str(names[0]), "--reference", str(names[1]), "--repeats", str(arguments.rounds),
               "--seconds-minimum", str(arguments.seconds), "--prompt-tokens", str(arguments.prompt_tokens), "--generated-tokens",
               str(arguments.generated_tokens), "--idle-seconds", "0", "--seed", str(arguments.seed + pair), "--run", str(run), "--cache",
               str(folder / "cache"), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr.strip()}")
    for line in (run / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "step_end" and "energy_comparison" in event["tables"]:
            return event["tables"]
    sys.exit(f"{run}: the journal has no table energy_comparison")


def under_two_names(artifact, folder):
    names = []
    for name in ("first", "second"):
        target = folder / (name + artifact.suffix)
        (shutil.copytree if artifact.is_dir() else shutil.copyfile)(artifact, target)
        names.append(target)
    return names


def outcome(quantity, tables):
    """The row of the first batch size."""
    return next(row for row in tables["energy_comparison"] if row["metric"] == quantity)


def summary(quantity, rows):
    known = [row for row in rows if row["ratio"] is not None and row["low"] is not None]
    n = len(known)
    found = sum(row["low"] > 1 or row["high"] < 1 for row in known)
    out = {"quantity": quantity, "pairs": n, "found_different": found}
    if n:
        out["share_without"] = (n - found) / n
        out["interval"] = binomial_interval(n - found, n)
        out["chance"] = chance_of_so_many(found, n)
        out["left_out"] = sum(row["rounds_left_out"] for row in known)
        out["largest"] = max(abs(row["ratio"] - 1) for row in known)
        out["provenance"] = known[0]["provenance"]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frugal")
    parser.add_argument("artifact", type=pathlib.Path)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.3, help="shortest duration of a window")
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--generated-tokens", type=int, default=32)
    parser.add_argument("--beside", type=int, default=0, help="processes that work and rest beside it")
    parser.add_argument("--seed", type=int, default=1, help="of the first pair")
    parser.add_argument("--json", type=pathlib.Path, help="write what was found, pair by pair")
    arguments = parser.parse_args()
    workers = []
    with tempfile.TemporaryDirectory(prefix="frugal-a-a-") as name:
        folder = pathlib.Path(name)
        names = under_two_names(arguments.artifact, folder)
        try:
            for i in range(arguments.beside):
                workers.append(subprocess.Popen([sys.executable, __file__, "--work-beside", str(i)]))
            begin, tables = time.monotonic(), []
            for pair in range(arguments.pairs):
                tables.append(measure(arguments, folder, names, pair))
                row = outcome(QUANTITIES[0], tables[-1])
                print(f"pair {pair + 1}: {row['verdict'] or 'unknown: ' + row['reason']}", flush=True)
            seconds = time.monotonic() - begin
        finally:
            for worker in workers:
                worker.terminate()
    report(arguments, tables, seconds)


def report(arguments, tables, seconds):
    load = os.getloadavg()[0]
    print(f"\n{arguments.artifact.name}, {arguments.pairs} pairs of {arguments.rounds} rounds with windows of {arguments.seconds} s, "
          f"{seconds:.0f} s in all; load average {load:.1f} on {os.cpu_count()} CPUs")
    failed = False
    for quantity in QUANTITIES:
        found = summary(quantity, [outcome(quantity, one) for one in tables])
        if found["pairs"] == 0:
            print(f"{quantity:28} unknown in every pair")
            failed = failed or quantity == QUANTITIES[0]
            continue
        low, high = found["interval"]
        worse = found["chance"] < ERROR / len(QUANTITIES)
        verdict = "worse than 95%, beyond chance" if worse else "no worse than 95% by more than chance"
        failed = failed or worse
        print(f"{quantity:28} no significant difference in {found['pairs'] - found['found_different']} of {found['pairs']} "
              f"({100 * found['share_without']:.0f}% [{100 * low:.0f}, {100 * high:.0f}]): {verdict}; ratios up to "
              f"{100 * found['largest']:.1f}% off 1, {found['left_out']} rounds left out ({found['provenance']})")
    if arguments.json:
        rows = [[outcome(quantity, one) for quantity in QUANTITIES] for one in tables]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--work-beside":
        work_beside(int(sys.argv[2]))
    else:
        main()
