# needs: numpy safetensors tokenizers
"""frugal's transformers adapter with the real wheel: a compressed-tensors export of int4 weights, which transformers decodes as we do, has the
perplexity of our own forward, and its steps are timed. Without transformers and compressed-tensors (scripts/setup --transformers) what is
judged is that a plan which asks for it is refused, with the remedy."""
import importlib.util
import tempfile
from pathlib import Path

from common import *

os.environ["FRUGAL_RUNTIMES"] = sys.executable

INSTALLED = all(importlib.util.find_spec(module) for module in ("torch", "transformers", "compressed_tensors"))

with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    model = make_llama(work / "seeded", tied=False)
    (work / "p.yaml").write_text(f"""frugal: 1
name: served
models: {{teacher: {model}}}
data: {{text: {{text: [{work}/seeded-text.txt]}}}}
steps:
  - {{id: small, pass: quantize, from: teacher, with: {{grid: "int4:g32", method: rtn}}}}
  - {{id: file, pass: export, from: small, with: {{format: compressed_tensors}}}}
  - {{id: quality, pass: evaluate, from: file, with: {{perplexity: text, protocol: gptq-64, windows: 6, reference: small, runtime: transformers}}}}
  - {{id: cost, pass: measure, from: file, with: {{prompt_tokens: 16, generated_tokens: 6, batch: [1, 2], repeats: 2, seconds_minimum: 0.05}}}}
""")
    if not INSTALLED:
        print("note: transformers or compressed-tensors is not installed (scripts/setup --transformers); the refusal is judged alone")
        refused = frugal("plan", work / "p.yaml", check=False)
        said = refused.stdout + refused.stderr
        expect_true("a plan without the runtime is refused", refused.returncode == 2, str(refused.returncode))
        expect_true("with the remedy", "transformers is not installed" in said and "FRUGAL_RUNTIMES" in said, said[-600:])
        finish()
    frugal("run", work / "p.yaml", "--out", work / "served", "--idle-seconds", "0")
    steps = steps_of(work / "served")
    quality = steps[("quality", "")]
    found = values(quality)
    expect_true("transformers scored it", quality["tables"]["runtime"][0]["runtime"] == "transformers", quality["arithmetic"])
    # fp32 throughout and the same weights: the order of sums is left.
    expect("KL divergence from our forward", found["kld/mean"], 0.0, 1e-8)
    expect("ln of the perplexity ratio", found["kld/ln_perplexity_ratio"], 0.0, 1e-5)
    cost = values(steps[("cost", "")])
    expect_true("speed and memory", cost["tokens_per_second"] > 0 and cost["runtime_peak_memory"] > 1e6)
finish()
