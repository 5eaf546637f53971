#!/usr/bin/env python3
"""Task files of configs/tasks on one model, by frugal and by lm-evaluation-harness (wheel lm_eval with torch and transformers).

    lm_eval_tasks.py MODEL DATA --frugal build/release/bin/frugal [--limit 200] [--fewshot N] [--batch 16] TASK...

Compares every request's text, every log-likelihood (within 1e-3), every choice and every metric, and prints the CPU seconds of both,
without imports and without loading the model. DATA: the folder that scripts/task-data filled. Exit code 1 where something differs.
--samples DIR reads what frugal wrote before instead of running it.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

TASKS = pathlib.Path(__file__).resolve().parents[2] / "configs" / "tasks"
TOLERANCE = 1e-3  # nats; fp32 in other shapes


def load(name):
    import yaml
    config = yaml.safe_load((TASKS / name).read_text())
    if "include" in config:
        config = {**load(config.pop("include")), **config}
    # lm-evaluation-harness reads the files of all splits, also of those that it does not need.
    files = config["dataset_kwargs"]["data_files"]
    config["dataset_kwargs"] = {"data_files": {split: file for split, file in files.items() if os.path.exists(file)},
                                **{k: v for k, v in config["dataset_kwargs"].items() if k != "data_files"}}
    for split in ("training_split", "validation_split"):
        if config.get(split) not in config["dataset_kwargs"]["data_files"]:
            config.pop(split, None)
    if config.get("process_docs") == "hellaswag":
        from lm_eval.tasks.hellaswag.utils import process_docs
        config["process_docs"] = process_docs
    if config.get("process_docs") == "wikitext":
        from lm_eval.tasks.wikitext import preprocess_wikitext
        config.pop("process_docs")
        config["doc_to_target"], config["process_results"] = preprocess_wikitext.wikitext_detokenizer, preprocess_wikitext.process_results
    return config


def run_harness(arguments):
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    model = HFLM(pretrained=arguments.model, dtype="float32", batch_size=arguments.batch, device="cpu")
    for task in arguments.tasks:
        began = time.process_time()
        made = lm_eval.simple_evaluate(model=model, tasks=[load(f"{task}.yaml")], limit=arguments.limit, num_fewshot=arguments.fewshot,
                                       log_samples=True, bootstrap_iters=100000)
        yield task, made["results"][task], made["samples"][task], time.process_time() - began


def run_frugal(arguments, folder):
    """The folder of samples; CPU seconds of the whole process stand in for the tasks, model loading among them."""
    command = [arguments.frugal, "evaluate", arguments.model, "--tasks", ",".join(arguments.tasks), "--data-folder", arguments.data,
               "--limit", str(arguments.limit), "--batch", str(arguments.batch), "--run", folder]
    if arguments.fewshot is not None:
        command += ["--fewshot", str(arguments.fewshot)]
    subprocess.run(command, check=True, env={**os.environ, "FRUGAL_TASKS": str(TASKS), "OMP_WAIT_POLICY": "PASSIVE"})
    usage = __import__("resource").getrusage(__import__("resource").RUSAGE_CHILDREN)
    print(f"frugal: {usage.ru_utime + usage.ru_stime:.1f} CPU s, reading the model included")
    return next(pathlib.Path(folder).rglob("samples_*.jsonl")).parent


def compare(task, results, samples, own):
    wrong, worst, requests = [], 0.0, 0
    lines = {(line["doc_id"], line["filter"]): line for line in map(json.loads, own.read_text(encoding="utf-8").splitlines())}
    if len(lines) != len(samples):
        wrong.append(f"{len(lines)} samples, lm-eval has {len(samples)}")
    for sample in samples:
        line = lines[sample["doc_id"], sample["filter"]]
        where = f"{task} {sample['doc_id']}"
        texts = [[a for a in arguments.values() if isinstance(a, str)] for arguments in line["arguments"].values()]
        expected = [[a for a in arguments if isinstance(a, str)] for arguments in sample["arguments"]]
        if texts != expected:
            wrong.append(f"{where}: the requests differ: {texts[0]} {expected[0]}")
        for mine, theirs in zip(line["filtered_resps"], sample["filtered_resps"]):
            requests += 1
            if isinstance(theirs, str):
                if mine != theirs:
                    wrong.append(f"{where}: '{mine}', lm-eval has '{theirs}'")
                continue
            value, greedy = (float(mine[0]), mine[1] == "True") if isinstance(mine, list) else (float(mine), None)
            other = theirs[0] if isinstance(theirs, (list, tuple)) else theirs
            worst = max(worst, abs(value - other))
            if abs(value - other) > TOLERANCE:
                wrong.append(f"{where}: log-likelihood {value}, lm-eval has {other}")
            if greedy is not None and greedy != theirs[1]:
                wrong.append(f"{where}: greedy {greedy}, lm-eval has {theirs[1]}")
        for metric in sample["metrics"]:
            value, other = line[metric], sample[metric]
            if isinstance(other, (int, float)) and abs(value - other) > TOLERANCE:
                wrong.append(f"{where}: {metric} {value}, lm-eval has {other}")
    print(f"{task}: {len(samples)} samples, {requests} requests, largest difference {worst:.2e} nats;",
          {k: round(v, 4) for k, v in results.items() if isinstance(v, float)})
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--frugal")
    parser.add_argument("--samples")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--fewshot", type=int)
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()
    arguments.model, arguments.data = map(os.path.abspath, (arguments.model, arguments.data))
    with tempfile.TemporaryDirectory() as folder:
        own = pathlib.Path(arguments.samples).resolve() if arguments.samples else run_frugal(arguments, os.path.join(folder, "run"))
        os.chdir(arguments.data)
        wrong = []
        for task, results, samples, seconds in run_harness(arguments):
            wrong += compare(task, results, samples, own / f"samples_{task}.jsonl")
            print(f"{task}: lm-eval took {seconds:.1f} CPU s", flush=True)
    print("\n".join(wrong[:20]) if wrong else "all requests, log-likelihoods and choices are equal")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
