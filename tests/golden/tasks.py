#!/usr/bin/env python3
"""What lm-evaluation-harness makes of the task files in tests/golden/tasks: requests, samples, results.

    tasks.py [OUTPUT]      needs the wheel lm_eval (0.4.13 made the file that is kept)

The answers are not a model's: log-likelihoods come from a hash of the request, texts from lists, so that the file is the same
everywhere. tests/tasks/golden_test.cpp compares ours with it.
"""
import hashlib
import json
import os
import pathlib
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import lm_eval
import yaml
from lm_eval.api.model import LM
from lm_eval.tasks.hellaswag.utils import process_docs
from lm_eval.tasks.wikitext import preprocess_wikitext

FOLDER = pathlib.Path(__file__).resolve().parent / "tasks"
WORKED = ["It is $3,000, or 2,999\n#### 3,000 nails", "3+0=3\n#### 3.", "none"]
PLAIN = ["3.000", "four", " -3"]


def drawn(*parts):
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little")


class Hashed(LM):
    def loglikelihood(self, requests, **_):
        return [(-drawn(*r.args) / 2**27, drawn(*r.args) % 3 == 0) for r in requests]

    def loglikelihood_rolling(self, requests, **_):
        return [-drawn(*r.args) / 2**26 for r in requests]

    def generate_until(self, requests, **_):
        return [(WORKED if r.args[0].startswith("Question") else PLAIN)[i] for i, r in enumerate(requests)]


def load(name):
    config = yaml.safe_load((FOLDER / name).read_text())
    if "include" in config:
        config = {**load(config.pop("include")), **config}
    if config.get("process_docs") == "hellaswag":
        config["process_docs"] = process_docs
    if config.get("process_docs") == "wikitext":
        config.pop("process_docs")
        config["doc_to_target"], config["process_results"] = preprocess_wikitext.wikitext_detokenizer, preprocess_wikitext.process_results
    return config


def main():
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else FOLDER / "expected.json").resolve()
    os.chdir(FOLDER)
    expected = {"lm_eval": lm_eval.__version__, "tasks": {}}
    for path in sorted(FOLDER.glob("*.yaml")):
        config = load(path.name)
        if "task" not in config:
            continue
        name = config["task"]
        made = lm_eval.simple_evaluate(model=Hashed(), tasks=[config], log_samples=True, bootstrap_iters=100000)
        samples = []
        for sample in made["samples"][name]:
            sample = dict(sample)
            sample.pop("doc")
            samples.append(sample)
        expected["tasks"][path.name] = {"results": made["results"][name], "version": made["versions"][name],
                                        "higher_is_better": made["higher_is_better"][name],
                                        "n-shot": made["n-shot"][name], "samples": samples}
    output.write_text(json.dumps(expected, ensure_ascii=False, indent=1, default=lambda o: o.item() if hasattr(o, "item") else str(o)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
