#!/usr/bin/env python3
# needs: tokenizers sentencepiece
"""Every tokenizer of the material, the imported ones and one for each component against the `tokenizers` wheel and, where SentencePiece
made the model, against SentencePiece: all ids over ten megabytes of mixed text (mixed_text.py)."""
import array
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer

import common
import mixed_text
import wheel_tokenizers

ENCODE = os.environ.get("FRUGAL_ENCODE", "build/release/tests/runtime/frugal_encode")
GOLDEN = Path(__file__).resolve().parents[1] / "text/golden/small"
MODELS = Path(os.environ.get("FRUGAL_MODELS", Path(__file__).resolve().parents[2] / ".models"))
CLASSES = (r"\w", r"\s", r"\d", r"\W", r"[^\s\p{L}\p{N}]", r"[\p{Lu}\p{Lt}]", r"[\p{Ll}\p{Lm}]", r"\p{Lo}", r"\p{M}", r"\p{P}", r"\p{S}")
GGUF = ("SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf")


def packed(texts):
    return b"".join(struct.pack("<Q", len(text)) + text for text in texts)


def our_ids(tokenizer, texts_file):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "ids"
        subprocess.run([ENCODE, str(tokenizer), str(texts_file), str(out)], check=True, stdout=subprocess.DEVNULL)
        data, at, found = out.read_bytes(), 0, []
    while at < len(data):
        count = struct.unpack_from("<Q", data, at)[0]
        found.append(array.array("i", data[at + 8:at + 8 + 4 * count]))
        at += 8 + 4 * count
    return found


def first_difference(text, ours, theirs):
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    return f"id {at}: found {list(ours[at:at + 6])}, expected {list(theirs[at:at + 6])} in {text[:60]!r}... of {len(text)} bytes"


def compare(name, tokenizer, texts_file, texts, reference):
    ours, different, shown = our_ids(tokenizer, texts_file), 0, ""
    for text, found, expected in zip(texts, ours, (reference(text.decode("utf-8", "replace")) for text in texts), strict=True):
        if list(found) != expected:
            different += 1
            shown = shown or first_difference(text, found, expected)
    common.expect_true(f"{name}: {len(texts)} documents of {sum(map(len, texts))} bytes, {sum(map(len, ours))} ids",
                       different == 0, f"{different} documents differ; {shown}" if different else "")


def wheel(tokenizer):
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def of_material(folder, texts_file, texts):
    for name, make, files in wheel_tokenizers.published(common.DATA):
        if not all(path.exists() for path in files.values()):
            common.real(name)
            continue
        target = Path(folder) / name.replace("/", "_")
        target.mkdir()
        for file, path in files.items():
            (target / file).symlink_to(path)
        compare(name, target, texts_file, texts, wheel(make()))


def of_components(texts_file, texts):
    for path in sorted(GOLDEN.glob("*.json")):
        compare(f"small/{path.name}", path, texts_file, texts, wheel(Tokenizer.from_file(str(path))))


def of_classes(folder):
    """What Oniguruma takes for a class of characters, over every code point."""
    source = random.Random(3)
    texts = [part.encode() for part in mixed_text.pieces_of(mixed_text.every_code_point(source), source)]
    texts_file = Path(folder) / "code_points"
    texts_file.write_bytes(packed(texts))
    for members in CLASSES:
        root = json.loads((GOLDEN / "words_delimiter.json").read_text("utf-8"))
        root["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": members}, "behavior": "Removed", "invert": False}
        target = Path(folder) / "class.json"
        target.write_text(json.dumps(root), "utf-8")
        compare(f"characters of {members}", target, texts_file, texts, wheel(Tokenizer.from_file(str(target))))


def of_imports(folder, texts_file, texts):
    for name in GGUF:
        if not (MODELS / name).is_file():
            if os.environ.get("FRUGAL_REQUIRE_MODELS") == "1":
                raise SystemExit(f"FRUGAL_REQUIRE_MODELS=1, but {MODELS / name} is absent: scripts/setup --models")
            print(f"note: {name} is not on this machine (scripts/setup --models); that part is left out")
            continue
        target = Path(folder) / name
        common.frugal("import", MODELS / name, "-o", target, "-q")
        compare(name, target, texts_file, texts, wheel(Tokenizer.from_file(str(target / "tokenizer.json"))))


def of_sentencepiece(folder, texts_file, texts):
    """Unigram models made here, with and without a table of characters."""
    corpus = Path(folder) / "corpus.txt"
    corpus.write_text("\n".join(line[:2000] for line in mixed_text.code(300_000).split("\n") if line.strip()), "utf-8")
    # SentencePiece takes control pieces in a text for text.
    plain = [text for text in texts if not any(piece in text for piece in (b"<s>", b"</s>", b"<unk>"))]
    plain_file = Path(folder) / "plain"
    plain_file.write_bytes(packed(plain))
    for rule, fallback in (("identity", True), ("nmt_nfkc", False), ("nmt_nfkc_cf", True)):
        prefix = Path(folder) / f"unigram_{rule}"
        sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(prefix), vocab_size=800, model_type="unigram",
                                                 normalization_rule_name=rule, byte_fallback=fallback, user_defined_symbols=["<sep>"],
                                                 num_threads=1, minloglevel=2)
        processor = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
        compare(f"SentencePiece unigram, {rule}", f"{prefix}.model", plain_file, plain, processor.encode)
        tokenizer = wheel_tokenizers.unigram(Path(f"{prefix}.model"))
        target = Path(folder) / f"{rule}.json"
        tokenizer.save(str(target))
        compare(f"the wheel's unigram, {rule}", target, texts_file, texts, wheel(tokenizer))


def main():
    texts = mixed_text.documents(common.DATA)
    with tempfile.TemporaryDirectory() as folder:
        texts_file = Path(folder) / "texts"
        texts_file.write_bytes(packed(texts))
        few = texts[::10]
        few_file = Path(folder) / "few"
        few_file.write_bytes(packed(few))
        of_material(folder, texts_file, texts)
        of_imports(folder, texts_file, texts)
        of_components(few_file, few)
        of_classes(folder)
        of_sentencepiece(folder, few_file, few)
    common.finish()


if __name__ == "__main__":
    main()
