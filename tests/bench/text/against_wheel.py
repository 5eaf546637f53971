#!/usr/bin/env python3
"""Encoding on one thread beside the `tokenizers` wheel: megabytes of UTF-8 a CPU second, best of three each, in turns.

usage: against_wheel.py FRUGAL_ENCODE SHARED_DATA [FOLDER_WITH_TOKENIZER_JSON...]

The folders are imported models. The wheel gets the better of one call for each text and one for all (encode_batch_fast), and its time
is without making Python lists of ids. Needs tokenizers and sentencepiece (scripts/setup --tests).
"""
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))
import mixed_text  # noqa: E402
import wheel_ids  # noqa: E402
import wheel_tokenizers  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

WANTED = ("tokenizer-gpt2/tokenizer.json", "tokenizer-qwen2.5", "tokenizer-llama3/tokenizer.model", "tokenizer-llama2/tokenizer.model",
          "tokenizer-mistral/mistral_instruct_tokenizer_240323.model.v3")
ROUNDS = 3


def material(data):
    source = random.Random(1)
    kinds = {"novels": mixed_text.novels(data, 4_000_000, source), "code": mixed_text.code(1_500_000), "scripts": mixed_text.scripts(700_000, source)}
    for name, text in kinds.items():
        yield name, [part.encode() for part in mixed_text.pieces_of(text, source)]


def wheel_seconds(tokenizer, texts):
    start = time.process_time()
    for text in texts:
        tokenizer.encode(text, add_special_tokens=False)
    single = time.process_time() - start
    start = time.process_time()
    tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return min(single, time.process_time() - start)


def our_seconds(encode, tokenizer, texts_file, out):
    done = subprocess.run([encode, str(tokenizer), str(texts_file), str(out)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def measure(encode, name, path, tokenizer, work, kinds):
    for kind, texts in kinds.items():
        texts_file = work / kind
        texts_file.write_bytes(wheel_ids.packed(texts))
        plain = [text.decode() for text in texts]
        ours = theirs = float("inf")
        for _ in range(ROUNDS):
            ours = min(ours, our_seconds(encode, path, texts_file, work / "ids"))
            theirs = min(theirs, wheel_seconds(tokenizer, plain))
        size = sum(map(len, texts)) / 1e6
        print(f"{name:60} {kind:8} frugal {size / ours:7.1f} MB/s  wheel {size / theirs:6.2f} MB/s  {theirs / ours:6.1f}x", flush=True)


def main():
    encode, data = sys.argv[1], Path(sys.argv[2])
    kinds = dict(material(data))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, make, files in wheel_tokenizers.published(data):
            if name not in WANTED:
                continue
            target = work / name.replace("/", "_")
            target.mkdir()
            for file, path in files.items():
                (target / file).symlink_to(path)
            measure(encode, name, target, make(), work, kinds)
        for path in sys.argv[3:]:
            measure(encode, path, path, Tokenizer.from_file(f"{path}/tokenizer.json"), work, kinds)


if __name__ == "__main__":
    main()
