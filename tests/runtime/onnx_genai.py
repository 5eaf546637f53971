# needs: numpy onnxruntime_genai safetensors tokenizers
"""ONNX folders in onnxruntime-genai: its tokenizer gives the ids of ours, the last position's logits equal frugal's, and greedy
generation gives the same ids."""
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime_genai as og
from tokenizers import Tokenizer

from common import *
from genai_text import generate

PROMPTS = ["The lamp is small but", "Numbers like 12, 345"]


def set_json(path, **values):
    content = json.loads(path.read_text()) if path.exists() else {}
    content.update(values)
    path.write_text(json.dumps(content))


def compare(name, folder, plain, count=24):
    model = og.Model(str(folder))
    tokenizer = og.Tokenizer(model)
    reference = Tokenizer.from_file(str(Path(plain) / "tokenizer.json"))
    for prompt in PROMPTS:
        ids = list(map(int, tokenizer.encode(prompt)))
        expect_true(f"{name}: ids of {prompt!r}", ids == reference.encode(prompt).ids, str(ids))
        logits, greedy = generate(model, ids, count)
        expected = our_logits(plain, ids)[-1]
        expect(f"{name}: logits of the last position", float(np.abs(logits[-len(expected):] - expected).max()), 0.0, 1e-4)
        expect_true(f"{name}: greedy ids", greedy == our_greedy(plain, ids, count), str(greedy))


with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    model = make_llama(work / "model")
    frugal("export", model, "--format", "onnx", "--out", work / "fp32-onnx")
    compare("fp32", work / "fp32-onnx", model)
    frugal("prune", model, "--channels", "0.75", "--calibration", work / "model-text.txt", "--sequence-length", "64", "--windows", "8", "--out", work / "narrow")
    frugal("export", work / "narrow", "--format", "onnx", "--out", work / "narrow-onnx")
    compare("without a quarter of its channels", work / "narrow-onnx", work / "narrow")
    frugal("quantize", model, "--grid", "int4", "--calibration", work / "model-text.txt", "--sequence-length", "64", "--windows", "8", "--out", work / "int4")
    frugal("export", work / "int4", "--format", "onnx", "--accuracy-level", "1", "--out", work / "int4-onnx")
    frugal("export", work / "int4", "--format", "huggingface", "--out", work / "int4-plain")
    compare("int4", work / "int4-onnx", work / "int4-plain")

    # What the folder says beside the weights: every end of text, and the chat template that transformers would take.
    chatty = shutil.copytree(model, work / "chatty")
    set_json(chatty / "config.json", eos_token_id=None, bos_token_id=None)
    greedy = our_greedy(model, [1, 2, 3], 12)
    end = greedy[-1]
    set_json(chatty / "generation_config.json", eos_token_id=[0, end])
    set_json(chatty / "tokenizer_config.json", chat_template=[{"name": "tool_use", "template": "t"}, {"name": "default", "template": "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"}])
    frugal("export", chatty, "--format", "onnx", "--out", work / "chatty-onnx")
    loaded = og.Model(str(work / "chatty-onnx"))
    text = og.Tokenizer(loaded).apply_chat_template(json.dumps([{"role": "user", "content": "hi"}]), add_generation_prompt=False)
    expect_true("chat template", text == "<user>hi", text)
    parameters = og.GeneratorParams(loaded)
    parameters.set_search_options(max_length=3 + 24, do_sample=False)
    generator = og.Generator(loaded, parameters)
    generator.append_tokens([1, 2, 3])
    while not generator.is_done():
        generator.generate_next_token()
    stopped = [int(i) for i in generator.get_sequence(0)][3:]
    expected = greedy[:next(i for i, id in enumerate(greedy) if id in (0, end))]
    expect_true("stops at the second end of text", [i for i in stopped if i not in (0, end)] == expected and len(stopped) <= len(expected) + 1, f"{stopped} {greedy}")
    set_json(chatty / "generation_config.json", eos_token_id=None)
    set_json(chatty / "tokenizer_config.json", eos_token=None, bos_token=None, pad_token=None, chat_template=None)
    done = frugal("export", chatty, "--format", "onnx", "--plan", check=False)
    expect_true("a model without an end of text is refused by the plan", done.returncode != 0 and "eos_token_id" in done.stderr, done.stderr[-200:])
finish()
