# needs: numpy xllamacpp safetensors tokenizers
"""Protocol llamacpp-<L> against llama.cpp: its tools/perplexity/perplexity.cpp, step by step in Python over the wheel's own tokenizer and
forward (fp32 file, fp32 cache). The text holds special pieces, which that tool takes literally, and ends with a line end, which it drops.
Its value, its scored tokens and its +/- equal those that frugal prints: of a tokenizer without BOS and of one that puts it in front, by
frugal's own forward and by the file in llama.cpp."""
import ctypes
import re
import tempfile
from pathlib import Path

from common import *

os.environ["FRUGAL_RUNTIMES"] = sys.executable
SCRIPTS = Path(__file__).parents[2] / "scripts" / "runtimes"


def adapter_class():
    """frugal's adapter as a class of this process, for its way to llama.cpp's forward."""
    text = (SCRIPTS / "protocol.py").read_text() + "\n\n" + (SCRIPTS / "llamacpp.py").read_text()
    names = {}
    exec(compile(text.replace("Server(LlamaCpp()).run()", ""), "llamacpp.py", "exec"), names)
    return names["LlamaCpp"]


def llama_tokenize(runtime, text, add_special, parse_special=False):
    vocabulary, data = runtime.lib.llama_model_get_vocab(runtime.model), text.encode()
    tokenize = runtime.lib.llama_tokenize
    tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32), ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]
    ids = (ctypes.c_int32 * (len(data) + 8))()
    return list(ids[:tokenize(vocabulary, data, len(data), ids, len(ids), add_special, parse_special)])


def llama_perplexity(path, text, length):
    """(perplexity, its +/-, scored tokens, windows) as the tool computes them with -c `length`."""
    runtime = adapter_class()()
    runtime.open({"path": str(path), "threads": 2, "exact_cache": True, "context": length, "sequences": 1})
    for name, result in (("llama_vocab_get_add_bos", ctypes.c_bool), ("llama_vocab_bos", ctypes.c_int32)):
        getattr(runtime.lib, name).restype, getattr(runtime.lib, name).argtypes = result, [ctypes.c_void_p]
    vocabulary = runtime.lib.llama_model_get_vocab(runtime.model)
    add_bos, bos = runtime.lib.llama_vocab_get_add_bos(vocabulary), runtime.lib.llama_vocab_bos(vocabulary)
    text = text[:-1] if text.endswith("\n") else text  # common/arg.cpp, --file
    tokens = llama_tokenize(runtime, text, add_special=True)
    assert tokens != llama_tokenize(runtime, text, add_special=True, parse_special=True), "the text has no special piece"
    first, nll, nll2, count = length // 2, 0.0, 0.0, 0
    for window in range(len(tokens) // length):
        ids = np.array(tokens[window * length:(window + 1) * length], np.int32)
        if add_bos:
            ids[0] = bos
        for positions, logits in runtime.rows(ids, np.arange(first, length - 1), 0):
            logits = logits.astype(np.float64)
            shifted = logits - logits.max(-1, keepdims=True)
            v = np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(len(positions)), ids[positions + 1]]
            nll, nll2, count = nll + v.sum(), nll2 + (v * v).sum(), count + len(v)
    nll, nll2 = nll / count, nll2 / count
    value = np.exp(nll)
    return value, value * np.sqrt((nll2 - nll * nll) / (count - 1)), count, len(tokens) // length


def found(run):
    step = list(steps_of(run).values())[-1]
    statistic = next(s for s in step["statistics"] if s["name"] == "perplexity")
    error = float(re.search(r"\+/- ([0-9.]+)", statistic["help"])[1])
    scored = int(re.search(r"(\d+) scored tokens", statistic["help"])[1])
    return statistic["value"], error, scored, statistic["n"], step["tables"]["runtime"][0]["runtime"]


def judge(name, model, text, length, work):
    file, run = work / f"{name}.gguf", work / f"{name}-run"
    frugal("export", model, "--format", "gguf", "--out", file)
    (work / f"{name}.txt").write_text(text, encoding="utf-8")
    value, error, scored, windows = llama_perplexity(file, text, length)
    for what, source, options, runtime, tolerance in (
            # A log-probability is known to 1e-4; the cache of 16 bits that the adapter has by default moves one by some 0.05.
            ("own forward", model, [], "frugal's fp32 forward", 1e-4), ("in llama.cpp", file, ["--runtime", "llama.cpp"], "llama.cpp", 0.05 / scored ** 0.5)):
        out = run / what.replace(" ", "-")
        frugal("evaluate", source, "--perplexity", work / f"{name}.txt", "--protocol", f"llamacpp-{length}", "--idle-seconds", "0", "--run", out, *options)
        mine = found(out)
        expect(f"{name}, {what}: ln of the perplexity", float(np.log(mine[0])), float(np.log(value)), tolerance)
        expect(f"{name}, {what}: +/-", mine[1], float(error), 5e-6 + 4 * tolerance * float(error))
        expect(f"{name}, {what}: scored tokens", mine[2], scored)
        expect(f"{name}, {what}: windows", mine[3], windows)
        expect_true(f"{name}, {what}: computed by {mine[4]}", mine[4] == runtime)


with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    seeded = make_llama(work / "seeded", tied=False)
    judge("seeded", seeded, "\n\n".join(CORPUS[:40]).replace("chair", "<|endoftext|>chair") + "\n", 64, work)
    stories = real("stories260K/hf")
    if stories:  # SentencePiece, with a BOS in front
        model = copy_model(stories, work / "stories-hf", (DATA / "stories260K/tok512.bin", "tokenizer.bin"))
        judge("stories260K", model, ("Once upon a time there was a <s>girl who lived in </s> a house by the sea. " * 40) + "\n", 128, work)
finish()
