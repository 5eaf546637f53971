# needs: numpy safetensors
"""Imports of folders of a hundred megabytes: memory holds the largest tensor, however many there are; killed at any moment, or where the
disk is full, nothing half-written is left."""
import hashlib
import multiprocessing
import random
import resource
import signal
import time

from common import *

GROUP = 128
KILLS = 5
TOLERANCE = 4e6  # of two peaks: when the system takes back pages of mapped files is its own affair
CONSTANT = 16e6  # beyond matrix and tiny folder: scales as floats, chunks that are looked at, what the allocator keeps of freed ones


def write_packed(folder, hidden, ffn, layers, ordered=False):
    """A Llama as GPTQ (v2, four bits with zero points) packs it; `ordered`: its groups are no neighbors, so that an import decodes it."""
    from safetensors.numpy import save_file
    folder.mkdir(parents=True)
    source = np.random.default_rng(3)
    embedding = source.normal(0, 0.5, (256, hidden)).astype(np.float16)
    tensors = {"model.embed_tokens.weight": embedding, "model.norm.weight": np.ones(hidden, np.float16)}
    shapes = {f"self_attn.{name}_proj": (hidden, hidden) for name in "qkvo"}
    shapes |= {"mlp.gate_proj": (ffn, hidden), "mlp.up_proj": (ffn, hidden), "mlp.down_proj": (hidden, ffn)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{norm}.weight"] = np.ones(hidden, np.float16)
        for name, (rows, columns) in shapes.items():
            groups, module = columns // GROUP, prefix + name
            tensors[module + ".qweight"] = source.integers(-2**31, 2**31, (columns // 8, rows)).astype(np.int32)
            tensors[module + ".qzeros"] = source.integers(-2**31, 2**31, (groups, rows // 8)).astype(np.int32)
            tensors[module + ".scales"] = source.uniform(0.001, 0.002, (groups, rows)).astype(np.float16)
            if ordered:
                tensors[module + ".g_idx"] = np.arange(columns, dtype=np.int32) % groups
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": ffn,
              "num_hidden_layers": layers, "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 256, "max_position_embeddings": 128,
              "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": True, "torch_dtype": "float16",
              "quantization_config": {"quant_method": "gptq", "checkpoint_format": "gptq_v2", "bits": 4, "group_size": GROUP, "sym": False,
                                      "desc_act": ordered}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def made(folder, *arguments, **options):
    """Written by another process: what this one once held would count as memory of those that it starts (getrusage(2))."""
    process = multiprocessing.get_context("fork").Process(target=write_packed, args=(folder, *arguments), kwargs=options)
    process.start()
    process.join()
    expect_true(f"{folder.name} was made", process.exitcode == 0)
    return folder


def start(model, out, **options):
    return subprocess.Popen([FRUGAL, "import", str(model), "-o", str(out), "--quiet"], cwd=HERE, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, **options)


def peak(model):
    """The most resident memory of an import, in bytes."""
    out = Path(tempfile.mkdtemp(dir=HERE)) / "out"
    process = start(model, out)
    error = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status != 0:
        raise SystemExit(f"frugal import ended with status {status}: {error}")
    shutil.rmtree(out)
    return usage.ru_maxrss * 1024


def compare_peaks(name, shape, layers, largest, **options):
    """`largest`: bytes of the largest matrix where it is read, unpacked, and written."""
    few, many = (made(work / f"{name}-{count}", *shape, count, **options) for count in layers)
    stored = [(model / "model.safetensors").stat().st_size for model in (few, many)]
    less, more = peak(few), peak(many)
    expect(f"{name}: peak of {stored[1] / 1e6:.0f} MB beside that of {stored[0] / 1e6:.0f}, MB", more / 1e6, less / 1e6, TOLERANCE / 1e6)
    expect_true(f"{name}: peak beyond that of a tiny folder", more - tiny <= largest + CONSTANT,
                f"{(more - tiny) / 1e6:.1f} MB, largest matrix {largest / 1e6:.1f}")
    return many


def end_early(model, out, seconds, number):
    """An import that gets a signal after so long; its exit status."""
    process = start(model, out)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        process.communicate()
    return process.returncode


def fingerprint(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def compare_broken(model):
    """Imports that are broken off beside one that is not."""
    place, begin = Path(tempfile.mkdtemp(dir=HERE)), time.monotonic()
    frugal("import", model, "-o", place / "whole", "--quiet")
    seconds, whole = time.monotonic() - begin, fingerprint(place / "whole")
    print(f"note: {(model / 'model.safetensors').stat().st_size / 1e6:.0f} MB took {seconds:.1f} s")
    moments, killed = random.Random(2026), 0
    for number in range(KILLS):
        out = place / f"killed-{number}"
        killed += end_early(model, out, moments.random() * seconds, signal.SIGKILL) == -signal.SIGKILL
        expect_true(f"kill {number}: all or nothing", not out.exists() or fingerprint(out) == whole)
    print(f"note: {killed} of {KILLS} were killed before their end")
    frugal("import", model, "-o", place / "killed-0", "--quiet", "--force")
    expect_true("the next import is whole", fingerprint(place / "killed-0") == whole)

    place = Path(tempfile.mkdtemp(dir=HERE))
    code = end_early(model, place / "stopped", seconds / 2, signal.SIGINT)
    expect_true("an interruption leaves nothing, or the import was done", code == 130 and not any(place.iterdir()) or code == 0, f"exit code {code}")
    shutil.rmtree(place / "stopped", ignore_errors=True)

    def fill():  # a limit of file sizes stands for the full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 25, 1 << 25))
    full = start(model, place / "full", preexec_fn=fill)
    error = full.stderr.read().decode()
    expect_true("a full disk is said", full.wait() == 1 and "cannot write" in error, error.strip()[-200:])
    expect_true("a full disk leaves nothing", not any(place.iterdir()))


work = Path(tempfile.mkdtemp(dir=HERE))
tiny = peak(made(work / "tiny", 128, 128, 1))
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
expect_true("a tiny folder takes more than this script, so that its figure is its own", tiny > own, f"{tiny / 1e6:.1f} MB beside {own / 1e6:.1f}")
hidden, ffn = 2048, 8192
model = compare_peaks("kept", (hidden, ffn), (2, 4), hidden * ffn * (0.5 + 1 + 0.5))
compare_peaks("decoded", (1024, 4096), (2, 6), 1024 * 4096 * (0.5 + 4), ordered=True)
compare_broken(model)
finish()
