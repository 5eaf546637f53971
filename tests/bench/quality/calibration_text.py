#!/usr/bin/env python3
"""What text a model is calibrated on, and how much of it: the divergence at home and on text of other kinds.

Quantizes MODEL once for every pair of --mix and --windows and measures the mean KL divergence to MODEL on every held-out text, by one
`frugal run`, which goes on where it was when it is started again in the same --work.

usage: calibration_text.py MODEL --text NAME=FILE ... --held-out NAME=FILE ... --mix MIX ... --work DIR
                           [--windows 32 ...] [--length 512] [--held-out-windows 10] [--grid q4_0] [--recipe fast]
                           [--option KEY=VALUE ...] [--frugal build/release/bin/frugal] [--seed 1]

MIX: texts with weights, `wiki:2,code,self`; `self` is what the model writes; `none` rounds to nearest without text.
FILE: plain text, or *.jsonl with `messages`, which goes through the model's chat template.
Prints a table in Markdown: a row for each result, a column for each held-out text, 95% intervals of the mean over windows.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def named(pair):
    name, _, file = pair.partition("=")
    if not name or not file:
        raise argparse.ArgumentTypeError(f"'{pair}' is not NAME=FILE")
    return name, Path(file).resolve()


def source(file):
    quoted = json.dumps(str(file))
    return f"{{ jsonl: {quoted}, chat: true }}" if file.suffix == ".jsonl" else f"{{ text: {quoted} }}"


def data_of(mix):
    """What `calibration` names, and the entry that is to be there for it."""
    parts = [part.partition(":") for part in mix.split(",")]
    if len(parts) == 1:
        return parts[0][0], None
    weights = ", ".join(f"{name}: {weight or 1}" for name, _, weight in parts)
    name = "mix-" + "-".join(f"{name}{weight}" for name, _, weight in parts)
    return name, f"  {name}: {{ mix: {{ {weights} }} }}\n"


def pipeline(options):
    text = f"frugal: 1\nname: calibration-text\nseed: {options.seed}\nmodels: {{ original: {json.dumps(str(options.model.resolve()))} }}\ndata:\n"
    for name, file in options.text + options.held_out:
        text += f"  {name}: {source(file)}\n"
    steps, results = "", []
    extra = "".join(f", {key}: {value}" for key, _, value in (pair.partition("=") for pair in options.option))
    for index, mix in enumerate(options.mix):
        name, entry = (None, None) if mix == "none" else data_of(mix)
        text += entry or ""
        for windows in [0] if mix == "none" else options.windows:
            made = f"q{index}-{windows}"
            how = "recipe: rtn" if mix == "none" else (
                f"recipe: {options.recipe}, calibration: {name}, windows: {windows}, sequence_length: {options.length}{extra}")
            steps += f'  - {{ id: {made}, pass: quantize, from: original, with: {{ grid: "{options.grid}", {how} }} }}\n'
            results.append((mix, windows, made))
    everything = ", ".join(made for _, _, made in results)
    for name, _ in options.held_out:
        steps += (f"  - {{ id: on-{name}, pass: evaluate, from: [{everything}], with: {{ reference: original, perplexity: {name}, "
                  f"protocol: gptq-{options.length}, windows: {options.held_out_windows} }} }}\n")
    return text + "steps:\n" + steps, results


def divergences(run):
    """{(step, model): statistic} from the journal."""
    found = {}
    for line in (run / "journal.jsonl").read_text().splitlines():
        record = json.loads(line)
        for statistic in record.get("statistics", []):
            if statistic["name"] == "kld/mean":
                found[record["id"], record["from"][0]] = statistic
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--text", type=named, nargs="+", default=[])
    parser.add_argument("--held-out", type=named, nargs="+", required=True)
    parser.add_argument("--mix", nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--windows", type=int, nargs="+", default=[32])
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--held-out-windows", type=int, default=10)
    parser.add_argument("--grid", default="q4_0")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--option", nargs="+", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frugal", type=Path, default=ROOT / "build/release/bin/frugal")
    options = parser.parse_args()
    text, results = pipeline(options)
    options.work.mkdir(parents=True, exist_ok=True)
    file = options.work / "pipeline.yaml"
    file.write_text(text)
    subprocess.run([options.frugal.resolve(), "run", file, "--out", options.work / "run"], check=True, stdout=sys.stderr)
    found = divergences(options.work / "run")
    names = [name for name, _ in options.held_out]
    print("| calibration | windows | " + " | ".join(names) + " |\n|---|---:|" + "---:|" * len(names))
    for mix, windows, made in results:
        cells = []
        for name in names:
            statistic = found[f"on-{name}", made]
            cells.append(f"{statistic['value']:.4f} [{statistic['low']:.4f}, {statistic['high']:.4f}]")
        print(f"| {mix} | {windows or '-'} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
