# needs: numpy onnx onnxruntime onnxruntime_genai gguf xllamacpp safetensors tokenizers
"""Every model family in the runtimes that users load it in: the tiny checkpoints of tests/golden/families, exported by frugal.

fp32: llama.cpp's log-probabilities (f32 cache) and ONNX Runtime's logits equal frugal's to 1e-4, which equal transformers' (stored); the
greedy ids of onnxruntime-genai are transformers'. Rounded: q8_0 in GGUF and int4 groups in ONNX."""
import importlib.util
import math
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime_genai as og

from common import *
from genai_text import generate
from llamacpp_server import Server, log_softmax
from onnx_session import empty_past, run, session

TOLERANCE = 1e-4
PLAIN_ID = 33  # 'A' of the tokenizer: a piece of one character, see Server

# What llama.cpp can hold of each. exact: to 1e-4. gelu: its products are exact, but GELU comes from a table of fp16 inputs and outputs.
# length: it turns by the factors of long sequences whatever their length, as its context is. Others: what it lacks for that architecture, so
# that the exporter must refuse with this word.
GGUF = {"llama": "exact", "mistral": "window", "mistral-full": "exact", "qwen2": "exact", "qwen2-untied": "exact", "qwen2-window": "window",
        "qwen3": "exact", "phi3": "exact", "phi3-window": "window", "gemma3": "gelu", "gemma3-scaled": "gelu", "gemma2": "gelu",
        "olmo2": "exact", "smollm3": "exact", "granite": "exact", "llama-yarn": "exact", "phi3-longrope": "length", "phi3-partial": "length",
        "gpt2": "gelu", "mixtral": "exact", "mixtral-stacked": "exact", "qwen3-moe": "exact", "qwen3-moe-mixed": "experts",
        "qwen3-moe-stacked": "experts", "olmoe": "exact"}


def load_goldens():
    path = Path(__file__).resolve().parents[1] / "golden" / "families.py"
    spec = importlib.util.spec_from_file_location("golden_families", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


goldens = load_goldens()


def number(golden, *keys):
    """Of the config, under the first of these names that it has: GPT-2 calls its sizes otherwise."""
    return next(golden["config"][key] for key in keys if key in golden["config"])


def is_long(golden, ids):
    """Beyond the context of the first training, where "longrope" turns by other factors."""
    return len(ids) > golden["config"].get("original_max_position_embeddings", math.inf)


def llamacpp_differences(path, golden, logits):
    """Of log-probabilities, at every third position."""
    server = Server(path, number(golden, "max_position_embeddings", "n_positions"))
    found = []
    for ids, ours in zip(golden["prompts"], logits):
        if GGUF[golden["family"]] == "length" and not is_long(golden, ids):
            continue
        for t in [*range(0, len(ids), 3), len(ids) - 1]:
            found.append(server.next_log_probabilities(ids[:t + 1], goldens.VOCABULARY, PLAIN_ID) - log_softmax(ours[t]))
    return np.abs(np.array(found))


def expect_rounding(name, differences, logits, share, count):
    """`count` roundings on the way to the logits, each moving what it rounds by `share` of it in the root mean square, independent of each
    other, and what comes of them keeps that share of the logits' deviation; twice that is allowed, as gates and attention multiply
    rounded factors. A wrong weight or window moves logits by their whole deviation."""
    expect(name, float(np.sqrt(np.mean(differences**2))), 0.0, 2 * share * math.sqrt(count) * float(np.std(np.concatenate(logits))))


def without_other_experts(differences):
    """Rounded inputs send a token here and there to another expert: a step that no count of roundings bounds. Three quarters of the
    positions are judged, those with the least differences; a wrong weight of an expert meets more."""
    return differences[np.argsort(np.mean(differences**2, axis=1))[:len(differences) * 3 // 4]]


def silence_feed_forward(folder):
    """The checkpoint with feed-forward blocks that add nothing: the gain of their last norm, or their last matrix and bias, become 0."""
    from safetensors.numpy import load_file, save_file
    tensors = load_file(folder / "model.safetensors")
    for name, value in tensors.items():
        if name.endswith("post_feedforward_layernorm.weight"):
            tensors[name] = np.full_like(value, -1)
        elif ".mlp.c_proj." in name:
            tensors[name] = np.zeros_like(value)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def judge_gguf(family, golden, model, logits, work):
    out = work / "fp32.gguf"
    if GGUF[family] not in ("exact", "gelu", "length"):
        done = frugal("export", model, "--format", "gguf", "--out", out, check=False)
        expect_true(f"{family}: GGUF is refused", done.returncode != 0 and GGUF[family] in done.stderr, done.stderr.strip()[-300:])
        return
    frugal("export", model, "--format", "gguf", "--out", out)
    differences = llamacpp_differences(out, golden, logits)
    if GGUF[family] != "gelu":
        expect(f"{family}: log-probabilities, llama.cpp", float(differences.max()), 0.0, TOLERANCE)
    else:  # fp16 rounds by 2^-11 / sqrt(3): the table's input and its output, in every layer
        expect_rounding(f"{family}: log-probabilities, llama.cpp", differences, logits, 2**-11 / math.sqrt(3), 2 * number(golden, "num_hidden_layers", "n_layer"))
        silent = silence_feed_forward(goldens.write_folder(golden, work / "silent"))
        frugal("export", silent, "--format", "gguf", "--out", work / "silent.gguf")
        ours = [our_logits(silent, ids) for ids in golden["prompts"]]
        differences = llamacpp_differences(work / "silent.gguf", golden, ours)
        expect(f"{family} without feed-forward: log-probabilities, llama.cpp", float(differences.max()), 0.0, TOLERANCE)


def judge_rounded_gguf(family, golden, model, work):
    """llama.cpp rounds the inputs of q8_0 products to 8 bits, in groups of 32 by their largest, which is some 2.3 deviations."""
    if GGUF[family] not in ("exact", "gelu", "length"):
        return
    frugal("quantize", model, "--grid", "q8_0", "--method", "rtn", "--out", work / "q8")
    frugal("export", work / "q8", "--format", "gguf", "--out", work / "q8.gguf")
    frugal("export", work / "q8", "--format", "huggingface", "--out", work / "q8-plain")
    ours = [our_logits(work / "q8-plain", ids) for ids in golden["prompts"]]
    differences = llamacpp_differences(work / "q8.gguf", golden, ours)
    if "num_experts_per_tok" in golden["config"]:
        differences = without_other_experts(differences)
    expect_rounding(f"{family} q8_0: log-probabilities, llama.cpp", differences, ours,
                    2.3 / 127 / math.sqrt(12), 7 * number(golden, "num_hidden_layers", "n_layer") + 1)


def onnx_differences(folder, golden, logits):
    """Largest differences of logits: all at once; ten, five, then one by one."""
    model, worst = session(folder / "model.onnx"), [0.0, 0.0]
    for ids, ours in zip(golden["prompts"], logits):
        whole, _ = run(model, ids, empty_past(model))
        worst[0] = max(worst[0], float(np.abs(whole - ours).max()))
        if is_long(golden, ids):  # the graph chooses by the tokens so far
            continue
        past, parts, begin = empty_past(model), [], 0
        for length in [10, 5] + [1] * (len(ids) - 15):
            found, past = run(model, ids[begin:begin + length], past)
            parts.append(found)
            begin += length
        worst[1] = max(worst[1], float(np.abs(np.concatenate(parts) - ours).max()))
    return worst


def judge_onnx(name, folder, golden, logits, greedy):
    whole, pieces = onnx_differences(folder, golden, logits)
    expect(f"{name}: logits at once, ONNX Runtime", whole, 0.0, TOLERANCE)
    expect(f"{name}: logits in pieces, ONNX Runtime", pieces, 0.0, TOLERANCE)
    model = og.Model(str(folder))
    for ids, expected in zip(golden["prompts"], greedy):
        _, found = generate(model, ids, len(expected))
        expect_true(f"{name}: greedy ids, onnxruntime-genai", [int(i) for i in found] == expected, str([int(i) for i in found]))


def judge_rounded_onnx(family, golden, model, work):
    frugal("quantize", model, "--grid", "int4:g32", "--method", "rtn", "--out", work / "int4")
    frugal("export", work / "int4", "--format", "onnx", "--accuracy-level", "1", "--out", work / "int4-onnx")
    frugal("export", work / "int4", "--format", "huggingface", "--out", work / "int4-plain")
    ours = [our_logits(work / "int4-plain", ids) for ids in golden["prompts"]]
    whole, pieces = onnx_differences(work / "int4-onnx", golden, ours)
    expect(f"{family} int4:g32: logits at once, ONNX Runtime", whole, 0.0, TOLERANCE)
    expect(f"{family} int4:g32: logits in pieces, ONNX Runtime", pieces, 0.0, TOLERANCE)


def judge(family, work):
    golden = goldens.read(family)
    model = goldens.write_folder(golden, work / "model")
    logits = [our_logits(model, ids) for ids in golden["prompts"]]
    for i, expected in enumerate(golden["logits"]):
        found = logits[i][:, golden["columns"]]
        expect(f"{family}: logits of prompt {i}, transformers", float(np.abs(found - np.array(expected)).max()), 0.0, TOLERANCE)
    judge_gguf(family, golden, model, logits, work)
    judge_rounded_gguf(family, golden, model, work)
    frugal("export", model, "--format", "onnx", "--out", work / "fp32-onnx")
    judge_onnx(family, work / "fp32-onnx", golden, logits, golden["greedy"])
    judge_rounded_onnx(family, golden, model, work)


HEADER = ["| checkpoint | transformers | llama.cpp | ONNX Runtime | onnxruntime-genai |", "|---|---|---|---|---|"]
LLAMACPP = {"exact": "1e-4", "gelu": "1e-4; its GELU table apart", "length": "1e-4 beyond the first context",
            "window": "refused: it has no such window", "experts": "refused: it has no such experts"}


def row(family, missed):
    """A line of the README's table: to what each runtime agrees with frugal, whatever the machine."""
    def said(runtime, words):
        return "**MISSED**" if any(name.startswith(family) and runtime in name for name in missed) else words
    gguf = "**MISSED**" if any("GGUF is refused" in name for name in missed) else said("llama.cpp", LLAMACPP[GGUF[family]])
    return f"| {family} | {said('transformers', '1e-4')} | {gguf} | {said('ONNX Runtime', '1e-4')} | {said('genai', 'same ids')} |"


stored = {path.stem for path in goldens.FILES.glob("*.json")}
expect_true("every golden family is in the table", stored == set(GGUF), str(stored ^ set(GGUF)))
table = list(HEADER)
for family in GGUF:
    before = len(failures)
    with tempfile.TemporaryDirectory() as work:
        judge(family, Path(work))
    table.append(row(family, failures[before:]))
print("\n".join(table))
readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
expect_true("the README has this table", "\n".join(table) in readme, "" if "\n".join(table) in readme else "scripts/test --runtimes prints it")
finish()
