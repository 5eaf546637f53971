# needs: numpy onnxruntime onnxruntime_genai safetensors tokenizers
"""frugal's ONNX adapters with the real wheels: of an fp32 export, scores of ONNX Runtime and of onnxruntime-genai equal our own forward's,
step by step as in one pass; an int4 export is scored and timed in ONNX Runtime, and timed in onnxruntime-genai where asked for, as the journal says."""
import tempfile
from pathlib import Path

from common import *
from served_tasks import compare_tasks, samples

os.environ["FRUGAL_RUNTIMES"] = sys.executable


def judge_folder(checkpoint, folder, work):
    """An ONNX folder on the command line: ONNX Runtime computes it, and nothing else does."""
    text = work / "seeded-text.txt"
    ask = ("--perplexity", text, "--protocol", "gptq-64", "--windows", "4", "--idle-seconds", "0")
    frugal("evaluate", checkpoint, *ask, "--run", work / "folder-own")
    frugal("evaluate", folder, *ask, "--run", work / "folder")
    frugal("evaluate", folder, *ask, "--reference", checkpoint, "--run", work / "folder-compared")
    own, alone, compared = (list(steps_of(work / run).values())[-1] for run in ("folder-own", "folder", "folder-compared"))
    expect("folder: perplexity", values(alone)["perplexity"], values(own)["perplexity"], 1e-4 * values(own)["perplexity"])
    expect_true("folder: ONNX Runtime scored it", alone["tables"]["runtime"][0]["runtime"] == "onnxruntime", alone["arithmetic"])
    expect_true("folder: nothing is compared with a forward that is not there", "runtime_difference/kld_mean" not in values(alone))
    expect("folder: KL divergence from its source", values(compared)["kld/mean"], 0.0, 1e-8)
    frugal("measure", folder, "--prompt-tokens", "16", "--generated-tokens", "4", "--repeats", "2", "--seconds-minimum", "0.05",
           "--idle-seconds", "0", "--run", work / "folder-cost")
    cost = list(steps_of(work / "folder-cost").values())[-1]
    expect_true("folder: ONNX Runtime was timed", cost["tables"]["runtime"][0]["runtime"] == "onnxruntime" and values(cost)["tokens_per_second"] > 0)
    for arguments, reason in ((("evaluate", folder, *ask, "--runtime", "frugal"), "a runtime must compute it"),
                              (("quantize", folder, "--grid", "q4_0"), "whose weights frugal does not read"),
                              (("evaluate", checkpoint, *ask, "--reference", folder), "whose weights frugal does not read")):
        refused = frugal(*arguments, "--plan", check=False)
        expect_true(f"folder: {arguments[0]} says why not", refused.returncode == 2 and reason in refused.stderr, refused.stderr.strip())


with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    model = make_llama(work / "seeded", tied=False)
    (work / "p.yaml").write_text(f"""frugal: 1
name: served
models: {{teacher: {model}}}
data: {{text: {{text: [{work}/seeded-text.txt]}}}}
steps:
  - {{id: plain, pass: export, from: teacher, with: {{format: onnx}}}}
  - {{id: ort, pass: evaluate, from: plain, with: {{perplexity: text, protocol: gptq-64, windows: 6, reference: teacher, runtime: onnxruntime}}}}
  - {{id: genai, pass: evaluate, from: plain, with: {{perplexity: text, protocol: gptq-64, windows: 2, reference: teacher, runtime: onnxruntime-genai}}}}
  - {{id: small, pass: quantize, from: teacher, with: {{grid: "int4:g32", method: rtn}}}}
  - {{id: file, pass: export, from: small, with: {{format: [onnx]}}}}
  - {{id: quality, pass: evaluate, from: file, with: {{perplexity: text, protocol: gptq-64, windows: 6, reference: teacher}}}}
  - {{id: cost, pass: measure, from: file, with: {{prompt_tokens: 16, generated_tokens: 6, batch: [1, 2], repeats: 2, seconds_minimum: 0.05}}}}
  - {{id: served, pass: measure, from: file, with: {{prompt_tokens: 16, generated_tokens: 6, repeats: 2, seconds_minimum: 0.05, runtime: onnxruntime-genai}}}}
""")
    frugal("run", work / "p.yaml", "--out", work / "served", "--idle-seconds", "0")
    steps = steps_of(work / "served")
    for name in ("ort", "genai"):
        found = values(steps[(name, "")])
        # fp32 throughout: what is left is the order of sums, some 1e-5 in a logit, and its square in a divergence.
        expect(f"{name}: KL divergence from our forward", found["kld/mean"], 0.0, 1e-8)
        expect(f"{name}: ln of the perplexity ratio", found["kld/ln_perplexity_ratio"], 0.0, 1e-5)
    quality, cost = steps[("quality", "")], steps[("cost", "")]
    expect_true("int4: ONNX Runtime scored it", quality["tables"]["runtime"][0]["runtime"] == "onnxruntime", quality["arithmetic"])
    expect_true("int4: the runtime rounds activations", 0 < values(quality)["runtime_difference/kld_mean"] < 0.02,
                str(values(quality)["runtime_difference/kld_mean"]))
    expect_true("int4: ONNX Runtime was timed", cost["tables"]["runtime"][0]["runtime"] == "onnxruntime", cost["arithmetic"])
    expect_true("int4: onnxruntime-genai was timed where asked for", steps[("served", "")]["tables"]["runtime"][0]["runtime"] == "onnxruntime-genai")
    for id in ("cost", "served"):
        expect_true(f"{id}: speed and memory", values(steps[(id, "")])["tokens_per_second"] > 0 and values(steps[(id, "")])["runtime_peak_memory"] > 1e6)

    roomy = make_llama(work / "roomy", tied=False, context=1024)
    frugal("export", roomy, "--format", "onnx", "--out", work / "roomy-onnx")
    own = samples(roomy, work / "tasks-own")
    # The folder itself as MODEL, fp32 throughout.
    for runtime in ("onnxruntime", "onnxruntime-genai"):
        compare_tasks(runtime, own, samples(work / "roomy-onnx", work / f"tasks-{runtime}", "--runtime", runtime), 1e-4)
    judge_folder(roomy, work / "roomy-onnx", work)
finish()
