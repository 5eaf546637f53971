# needs: numpy safetensors tokenizers
"""What `--plan` says of a step's peak memory against the most resident memory its process had: within 15%."""
import random

from common import *

TOLERANCE = 0.15
WINDOW = 256


def write_text(path):
    """Words that never repeat alike: enough for 80 windows of the made tokenizer."""
    source = random.Random(3)
    words = " ".join(CORPUS).split()
    path.write_text("\n".join(" ".join(source.choice(words) for _ in range(200)) for _ in range(400)))


def fresh_cache():
    return ["--cache", tempfile.mkdtemp(dir=HERE)]


def command(model, text, name, options):
    return [name, str(model), *options, "--calibration", str(text), "--sequence-length", str(WINDOW)]


def forecast(step):
    return json.loads(frugal(*step, *fresh_cache(), "--plan", "--json").stdout)["units"][-1]["estimate"]["peak_memory_bytes"]


def measured(step, threads):
    """Of the whole process, in bytes, from the kernel's account of it."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="PASSIVE")
    process = subprocess.Popen([FRUGAL, *step, *fresh_cache(), "--out", tempfile.mkdtemp(dir=HERE) + "/out", "--quiet"], cwd=HERE,
                               env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"frugal {' '.join(step)} ended with status {status}")
    return usage.ru_maxrss * 1024


def compare(name, step):
    for threads in (1, 2):
        os.environ["OMP_NUM_THREADS"] = str(threads)
        found, expected = forecast(step), measured(step, threads)
        expect(f"{name}, {threads} threads", found / 1e6, expected / 1e6, TOLERANCE * expected / 1e6)


work = Path(tempfile.mkdtemp(dir=HERE))
text = work / "text.txt"
write_text(text)
# Many tokens on narrow layers: activations count. Few on wide ones: the solver does.
narrow, wide = work / "narrow", work / "wide"
make_llama(narrow, hidden=256, ffn=768, layers=2, context=WINDOW)
make_llama(wide, hidden=768, ffn=2304, layers=1, heads=12, kv_heads=6, context=WINDOW)
many, few = ["--windows", "64"], ["--windows", "8"]
compare("quantize narrow", command(narrow, text, "quantize", ["--grid", "q4_0", *many]))
compare("quantize narrow, no drift", command(narrow, text, "quantize", ["--grid", "q4_0", "--drift-correction", "none", *many]))
compare("quantize narrow, spilled", command(narrow, text, "quantize", ["--grid", "q4_0", "--activation-memory", "20MB", *many]))
compare("quantize narrow, rtn", command(narrow, text, "quantize", ["--grid", "q4_0", "--recipe", "rtn", *many]))
compare("quantize narrow, gradients", command(narrow, text, "quantize", ["--grid", "q4_0", "--hessian", "two_sided", *many]))
compare("quantize wide, gradients", command(wide, text, "quantize", ["--grid", "q4_0", "--hessian", "two_sided", *few]))
compare("quantize wide", command(wide, text, "quantize", ["--grid", "q4_0", *few]))
tuned = ["--tune-steps", "3", "--tune-windows", "16", *few]
compare("quantize narrow, best", command(narrow, text, "quantize", ["--grid", "q4_0", "--recipe", "best", *tuned]))
compare("quantize narrow, lowbit", command(narrow, text, "quantize", ["--grid", "q2_k", "--recipe", "lowbit", "--rounding-iterations", "4", *tuned]))
compare("quantize wide, max_kl", command(wide, text, "quantize", ["--grid", "q4_0", "--method", "rtn", "--max-kl", "12", *few]))
quantized = work / "quantized"
frugal("quantize", wide, "--grid", "q4_0", "--recipe", "rtn", "--out", quantized, "--quiet")
compare("tune wide", ["tune", str(quantized), "--original", str(wide), "--data", str(text), "--windows", "16", "--steps", "3",
                      "--sequence-length", str(WINDOW)])
compare("prune narrow, neurons", command(narrow, text, "prune", ["--ffn", "0.5", *many]))
compare("prune narrow, heads", command(narrow, text, "prune", ["--heads", "0.5", *many]))
compare("prune narrow", command(narrow, text, "prune", ["--pattern", "50%", *many]))
training = ["--data", str(text), "--sequence-length", str(WINDOW), "--batch-sequences", "16", "--steps", "2", "--precision", "fp32"]
compare("finetune narrow", ["finetune", str(narrow), *training])
compare("distill narrow", ["distill", str(narrow), "--teacher", str(wide), *training])
compare("smooth narrow", command(narrow, text, "smooth", ["--grid", "q4_0", *many]))
finish()
