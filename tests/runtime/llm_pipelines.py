# needs: numpy gguf xllamacpp onnxruntime safetensors tokenizers
"""pipelines/smollm2-sentiment.yaml and -content.yaml from end to end, on a seeded model with a chat template and with a few steps and
items: what they train, prune, distill and quantize comes out as files that llama.cpp and ONNX Runtime score and time, and the claim is
judged on them."""
import csv
import random
import tempfile
from pathlib import Path

from common import *

os.environ["FRUGAL_RUNTIMES"] = sys.executable
PIPELINES = Path(__file__).resolve().parents[2] / "pipelines"
SHORT = {"tuning_steps": 4, "distillation_steps": 4, "windows": 4, "repeats": 2, "seconds": 0.01}
CHAT = ("{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|endoftext|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}")


def make_chat_model(folder):
    model = make_llama(folder, hidden=256, ffn=512, layers=2, context=512)
    path = model / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": CHAT}))
    return model


def write_reviews(folder):
    """SST-2's form: sentence and label behind a tab."""
    folder.mkdir()
    draw = random.Random(3)
    for name, count in (("train", 200), ("dev", 8), ("test", 16)):
        rows = []
        for _ in range(count):
            label = draw.randrange(2)
            rows.append(f"a {draw.choice(['slow', 'short', 'long'])} and {('dull', 'warm')[label]} film \t{label}")
        (folder / f"{name}.tsv").write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    return folder


def write_descriptions(folder):
    """E2E's form: attributes in one field of a comma-separated table, a sentence in the other."""
    folder.mkdir()
    draw = random.Random(4)
    for name, count in (("devset", 120), ("testset_w_refs", 12)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["mr", "ref"])
            for _ in range(count):
                place, food = draw.choice(["The Mill", "Zizzi", "Aromi"]), draw.choice(["English", "Italian"])
                table.writerow([f"name[{place}], food[{food}]", f"{place} serves {food} food, near the river."])
    return folder


def judge(name, metric, settings, work):
    run = work / name
    options = [part for key, value in {**SHORT, **settings}.items() for part in ("--set", f"{key}={value}")]
    frugal("run", PIPELINES / f"smollm2-{name}.yaml", *options, "--out", run, "--idle-seconds", "0")
    steps = steps_of(run)
    files = [f"{format}/{model}" for format, three in (("gguf", "three_gguf"), ("onnx", "three_onnx"))
             for model in ("tuned", "student", "bits/tuned-q8_0", "bits/tuned-q4_0", "bits/student-q8_0", "bits/student-q4_0",
                           f"{three}/tuned", f"{three}/student")]
    for file in files:
        expected = "llama.cpp" if file.startswith("gguf") else "onnxruntime"
        cost = steps[("cost" if file.startswith("gguf") else "cost_onnx", file.partition("/")[2])]
        for what, step in (("quality", steps[("quality", file)]), ("cost", cost)):
            found = step["tables"]["runtime"][0]["runtime"]
            expect_true(f"{name}: {what} of {file} is of {expected}", found == expected, found)
        expect_true(f"{name}: {file} has a verdict", any(row["metric"] == metric and row["verdict"] for row in
                                                         steps[("quality", file)]["tables"]["comparison"]))
        expect_true(f"{name}: {file} has its cost", values(cost)["joules_per_request"] > 0)
    report = json.loads((run / "report.json").read_text())
    expect_true(f"{name}: the claim is judged", report["claim"]["metric"] == metric and report["verdict"]["status"] in ("kept", "lost", "not_shown"),
                report["verdict"]["sentence"])
    frugal("report", run, "--exports")
    expect_true(f"{name}: page, table and BoAmps", (run / "report.html").exists() and (run / "report.csv").exists()
                and any((run / "boamps").rglob("*.json")))


with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    model = make_chat_model(work / "small")
    judge("sentiment", "sentiment/accuracy", {"model": model, "sst2": write_reviews(work / "sst2")}, work)
    judge("content", "perplexity", {"model": model, "e2e": write_descriptions(work / "e2e"), "descriptions": 6}, work)
finish()
