# needs: numpy gguf xllamacpp safetensors tokenizers
"""frugal's llama.cpp adapter with the real wheel: logits of an fp32 GGUF with an fp32 cache equal our own to 1e-4, whichever way they are
asked for; `evaluate` and `measure` of a file, of several files and of an export step come from llama.cpp and say so; a quantized file's
perplexity differs from our forward's by what rounding activations to 8 bits leaves."""
import subprocess
import tempfile
from pathlib import Path

from common import *
from llama_server_program import put_on_path
from served_tasks import compare_tasks, samples

os.environ["FRUGAL_RUNTIMES"] = sys.executable
SCRIPTS = Path(__file__).parents[2] / "scripts" / "runtimes"


class Adapter:
    def __init__(self, name, path, **options):
        text = (SCRIPTS / "protocol.py").read_text() + "\n\n" + (SCRIPTS / f"{name}.py").read_text()
        self.process = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.info, _ = self.ask({"op": "open", "path": str(path), "threads": 2, "exact_cache": True, **options})

    def send(self, message, payload=b""):
        self.process.stdin.write(json.dumps({**message, "bytes": len(payload)}).encode() + b"\n" + payload)
        self.process.stdin.flush()

    def receive(self):
        message = json.loads(self.process.stdout.readline())
        assert message["ok"], message
        return message, self.process.stdout.read(message["bytes"])

    def ask(self, message, payload=b""):
        self.send(message, payload)
        return self.receive()

    def rows(self, ids):
        everywhere = np.arange(len(ids), dtype="<i4")
        self.send({"op": "rows", "length": len(ids)}, np.array(ids, "<i4").tobytes() + everywhere.tobytes())
        out = np.empty((0, self.info["vocabulary"]), np.float32)
        while len(out) < len(ids):
            message, payload = self.receive()
            out = np.concatenate([out, np.frombuffer(payload, "<f4").reshape(message["rows"], -1)])
        return out

    def close(self):
        self.process.stdin.close()
        expect("adapter: exit code", self.process.wait(timeout=60), 0)


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def judge_adapter(gguf, checkpoint, ids):
    adapter = Adapter("llamacpp", gguf, context=len(ids) + 16, sequences=2)
    ours = log_softmax(our_logits(checkpoint, ids))
    theirs = log_softmax(adapter.rows(ids))
    likely = ours > -12  # a log-probability far down carries no information in fp32
    expect("rows: log-probabilities", float(np.abs(ours - theirs)[likely].max()), 0.0, 1e-4)
    n = len(ids) - 1
    numbers = np.concatenate([ids, np.arange(n), ids[1:]]).astype("<i4")
    _, payload = adapter.ask({"op": "score", "length": len(ids)}, numbers.tobytes())
    scores, greedy = np.frombuffer(payload, "<f8", n), np.frombuffer(payload, np.uint8, n, 8 * n)
    expect_true("score: which targets are the most probable", (greedy == (theirs[np.arange(n)].argmax(-1) == ids[1:])).all(), str(greedy.sum()))
    expect("score: the same as of rows", float(np.abs(scores - theirs[np.arange(n), ids[1:]]).max()), 0.0, 1e-6)
    prompt = np.array(ids[:20], "<i4")
    answer, payload = adapter.ask({"op": "generate", "lengths": [20], "max_new_tokens": 12, "temperature": 0, "top_p": 1, "seed": 1, "stop": []},
                                  prompt.tobytes())
    expect_true("generate: greedy ids", np.frombuffer(payload, "<i4").tolist() == our_greedy(checkpoint, ids[:20], 12), str(answer["lengths"]))
    text, part = np.frombuffer(payload, "<i4").tolist(), {"max_new_tokens": 5, "temperature": 0, "top_p": 1, "stop": []}
    _, payload = adapter.ask({"op": "generate", "lengths": [20], "seed": 1, **part}, prompt.tobytes())
    first = np.frombuffer(payload, "<i4").tolist()
    _, payload = adapter.ask({"op": "continue", **part, "max_new_tokens": 7})
    expect_true("continue: goes on where the text was left", first + np.frombuffer(payload, "<i4").tolist() == text, str(first))
    judge_shared_beginnings(adapter, ids)
    adapter.ask({"op": "prefill", "batch": 2}, np.array(ids[:40], "<i4").tobytes())
    for _ in range(2):  # the second starts from what the first has left
        _, payload = adapter.ask({"op": "decode", "steps": 5})
        steps = np.frombuffer(payload, "<f8")
        expect_true("decode: a time for each step", len(steps) == 5 and bool((steps > 0).all()))
    adapter.close()


def judge_shared_beginnings(adapter, ids):
    """Sequences that begin alike, each behind another one and behind one of its kind."""
    def score(sequence, begin):
        positions = np.arange(begin, len(sequence))
        numbers = np.concatenate([sequence, positions, sequence[begin:]]).astype("<i4")
        _, payload = adapter.ask({"op": "score", "length": len(sequence)}, numbers.tobytes())
        return np.frombuffer(payload, "<f8", len(positions))

    choices = [ids[:60] + ids[at : at + 9] for at in (60, 70, 80)]
    apart = []
    for choice in choices:
        score(ids[50:90], 0)
        apart.append(score(choice, 59))
    together = [score(choice, 59) for choice in choices]
    expect("score: behind a shared beginning", float(np.abs(np.array(apart) - together).max()), 0.0, 1e-4)


def judge_turns(work, whole, model):
    """Two files in turns, each in a process of llama.cpp; one beside itself; and what is no comparison."""
    other = work / "other-name.gguf"
    other.write_bytes(whole.read_bytes())
    options = ("--prompt-tokens", "32", "--generated-tokens", "8", "--batch", "1,2", "--seconds-minimum", "0.05", "--idle-seconds", "0")
    frugal("measure", whole, "--reference", other, "--repeats", "7", *options, "--run", work / "turns")
    tables = list(steps_of(work / "turns").values())[-1]["tables"]
    expect_true("turns: both files in llama.cpp", [(row["runtime"], row["artifact"]) for row in tables["runtime"]] ==
                [("llama.cpp", "whole.gguf"), ("llama.cpp", "other-name.gguf")], str(tables["runtime"]))
    for batch in (1, 2):
        rounds = [row for row in tables["energy_rounds"] if row["batch"] == batch]
        speed = next(row for row in tables["energy_comparison"] if row["batch"] == batch and row["metric"] == "decode_tokens_per_second")
        kept = sum(not row["left_out"] for row in rounds)
        expect_true(f"turns, batch {batch}: every round is counted or recorded as left out",
                    len(rounds) == 7 and kept == speed["n"] == len(speed["log_ratios"]) == 7 - speed["rounds_left_out"], str(speed))
        ratios = np.array(speed["log_ratios"])
        expect(f"turns, batch {batch}: the ratio is their geometric mean", speed["ratio"], float(np.exp(ratios.mean())), 1e-12)
        signs = np.array(np.meshgrid(*[[-1, 1]] * kept)).reshape(kept, -1)
        chance = float((np.abs(ratios @ signs) >= abs(ratios.sum()) - 1e-12).mean())
        expect(f"turns, batch {batch}: the p value, by every sign", speed["p_value"], chance, 1e-12)
    expect_true("turns: what short windows are called", "short window" in speed["marks"])
    refused = frugal("measure", whole, "--reference", model, *options, "--plan", check=False)
    expect_true("turns: a checkpoint beside a file is refused before anything runs",
                refused.returncode == 2 and "name an export of it as gguf" in refused.stderr, refused.stderr)


def evaluated(model, text, run, *options):
    frugal("evaluate", model, "--perplexity", text, "--protocol", "gptq-64", "--windows", "8", "--idle-seconds", "0", "--run", run, *options)
    return list(steps_of(run).values())[-1]


with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    model = make_llama(work / "seeded", tied=False)
    text = work / "seeded-text.txt"
    frugal("export", model, "--format", "gguf", "--out", work / "whole.gguf")
    frugal("export", model, "--format", "gguf", "--max-shard-size", "1MB", "--out", work / "cut.gguf")
    judge_adapter(work / "whole.gguf", model, np.random.default_rng(5).integers(1, 384, 100).tolist())

    judge_turns(work, work / "whole.gguf", model)

    own = values(evaluated(model, text, work / "own"))["perplexity"]
    for name, path in (("one file", work / "whole.gguf"), ("several files", sorted(work.glob("cut-*-of-*.gguf"))[0])):
        step = evaluated(path, text, work / f"run-{name.replace(' ', '-')}", "--reference", model)
        found = values(step)
        expect_true(f"{name}: llama.cpp computed it", step["tables"]["runtime"][0]["runtime"] == "llama.cpp", step["arithmetic"])
        # Keys and values in 16 bits: some 0.01 in a logit, and the mean of 500 of them.
        expect(f"{name}: ln of the perplexity ratio", float(np.log(found["perplexity"] / own)), 0.0, 0.05 / 500 ** 0.5)
        expect_true(f"{name}: KL divergence", 0 <= found["kld/mean"] < 1e-3, str(found["kld/mean"]))
        expect(f"{name}: the reference is the forward", found["runtime_difference/kld_mean"], found["kld/mean"], 1e-12)
    step = evaluated(work / "whole.gguf", text, work / "forward", "--runtime", "frugal")
    expect("own forward of the file: perplexity", values(step)["perplexity"], own, 1e-6 * own)
    expect_true("own forward: its name", step["tables"]["runtime"][0]["runtime"] == "frugal's fp32 forward")

    roomy = make_llama(work / "roomy", tied=False, context=1024)
    frugal("export", roomy, "--format", "gguf", "--out", work / "roomy.gguf")
    # Keys and values in 16 bits, as above: some 0.01 in a log-probability of about 6 a token.
    compare_tasks("llama.cpp", samples(roomy, work / "tasks-own"), samples(work / "roomy.gguf", work / "tasks-served"), 0.01,
                  texts=False)

    put_on_path(work / "bin")
    ours = samples(work / "roomy.gguf", work / "tasks-server", "--runtime", "llama-server", "--limit", "3")
    whole = samples(work / "roomy.gguf", work / "tasks-library", "--limit", "3")
    compare_tasks("llama-server", whole, ours, 0.01, texts=False)
    frugal("measure", work / "whole.gguf", "--runtime", "llama-server", "--prompt-tokens", "24", "--generated-tokens", "8", "--repeats", "2",
           "--seconds-minimum", "0.05", "--idle-seconds", "0", "--run", work / "server-cost")
    cost = list(steps_of(work / "server-cost").values())[-1]
    expect_true("llama-server: timed, and its version is known", cost["tables"]["runtime"][0]["version"] == "llama-server 9999 (wheel)")
    expect_true("llama-server: speed, time and memory of the server itself", values(cost)["tokens_per_second"] > 0
                and values(cost)["joules_per_request"] > 0 and values(cost)["runtime_peak_memory"] > 1e6)

    (work / "p.yaml").write_text(f"""frugal: 1
name: served
models: {{teacher: {model}}}
data: {{text: {{text: [{text}]}}}}
steps:
  - {{id: small, pass: quantize, matrix: {{grid: [q8_0, q4_0]}}, with: {{method: rtn}}}}
  - {{id: file, pass: export, with: {{format: gguf}}}}
  - {{id: quality, pass: evaluate, from: [teacher, file], with: {{perplexity: text, protocol: gptq-64, windows: 8, reference: teacher}}}}
  - {{id: cost, pass: measure, from: [teacher, file], with: {{prompt_tokens: 32, generated_tokens: 8, batch: [1, 2], repeats: 2, seconds_minimum: 0.05}}}}
""")
    frugal("run", work / "p.yaml", "--out", work / "served", "--idle-seconds", "0")
    steps = steps_of(work / "served")
    for grid, most in (("q8_0", 0.02), ("q4_0", 0.5)):
        quality, cost = (steps[(id, f"file/{grid}")] for id in ("quality", "cost"))
        found = values(quality)
        expect_true(f"{grid}: llama.cpp scored it", quality["tables"]["runtime"][0]["artifact"] == f"small-{grid}.gguf")
        expect_true(f"{grid}: KL divergence from the teacher", 0 < found["kld/mean"] < most, str(found["kld/mean"]))
        expect_true(f"{grid}: the runtime rounds activations, so it differs", 0 < found["runtime_difference/kld_mean"] < 0.02,
                    str(found["runtime_difference/kld_mean"]))
        expect_true(f"{grid}: llama.cpp was timed", "Timed in llama.cpp" in cost["statistics"][0]["help"], cost["arithmetic"])
        expect_true(f"{grid}: speed and memory", values(cost)["tokens_per_second"] > 0 and values(cost)["runtime_peak_memory"] > 1e6)
    expect_true("teacher: frugal's own forward", steps[("cost", "teacher")]["tables"]["runtime"][0]["runtime"] == "frugal's fp32 forward")
    refused = frugal("evaluate", model, "--perplexity", text, "--protocol", "gptq-64", "--runtime", "llama.cpp", "--plan", check=False)
    expect_true("a checkpoint is refused before anything runs", refused.returncode == 2 and "the input is a checkpoint" in refused.stderr, refused.stderr)
    os.environ["FRUGAL_RUNTIMES"] = "/no/such/python"
    refused = frugal("evaluate", work / "whole.gguf", "--perplexity", text, "--protocol", "gptq-64", "--runtime", "llama.cpp", "--plan", check=False)
    expect_true("a missing runtime is told before anything runs", refused.returncode == 2 and "scripts/setup --runtimes" in refused.stderr, refused.stderr)
finish()
