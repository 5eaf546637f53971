"""What the judges share: running frugal, made and real models, an independent NumPy Llama, comparisons that print what they saw."""
import atexit
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

FRUGAL = os.path.abspath(os.environ.get("FRUGAL_EXECUTABLE", "build/release/bin/frugal"))
LOGITS = os.environ.get("FRUGAL_LOGITS", "")
DATA = Path(os.environ.get("FRUGAL_SHARED_DATA", ""))
REQUIRE_DATA = os.environ.get("FRUGAL_REQUIRE_DATA") == "1"
failures = []
HERE = tempfile.mkdtemp(prefix="frugal-judge-")  # runs and caches of this script, and of no other
atexit.register(shutil.rmtree, HERE, ignore_errors=True)


def expect(name, found, expected, tolerance=0.0):
    """Prints found, expected, tolerance; remembers a miss."""
    good = abs(found - expected) <= tolerance
    print(f"{'ok  ' if good else 'MISS'} {name}: found {found:.9g}, expected {expected:.9g}, tolerance {tolerance:.3g}", flush=True)
    if not good:
        failures.append(name)


def expect_true(name, good, detail=""):
    print(f"{'ok  ' if good else 'MISS'} {name} {detail}", flush=True)
    if not good:
        failures.append(name)


def finish():
    if failures:
        print("FAILED:", ", ".join(failures))
    sys.exit(1 if failures else 0)


def frugal(*arguments, check=True):
    done = subprocess.run([FRUGAL, *map(str, arguments)], capture_output=True, text=True, cwd=HERE)
    if check and done.returncode != 0:
        print(done.stdout[-4000:], done.stderr[-4000:])
        raise SystemExit(f"frugal {' '.join(map(str, arguments))} exited with {done.returncode}")
    return done


def steps_of(run):
    """The finished steps of a run's journal, by id and variant, in their order."""
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return {(line["id"], line["variant"]): line for line in lines if line["event"] == "step_end"}


def values(step):
    return {statistic["name"]: statistic["value"] for statistic in step["statistics"]}


def our_logits(checkpoint, ids):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "logits.f32"
        subprocess.run([LOGITS, str(checkpoint), str(out), *map(str, ids)], check=True)
        return np.fromfile(out, dtype="<f4").reshape(len(ids), -1)


def our_greedy(checkpoint, ids, count):
    done = subprocess.run([LOGITS, "--greedy", str(count), str(checkpoint), *map(str, ids)], check=True, capture_output=True, text=True)
    return [int(word) for word in done.stdout.split()]


def real(relative):
    """A folder of real material, or None where it is absent (an error where it is required)."""
    path = DATA / relative
    if path.exists():
        return path
    if REQUIRE_DATA:
        raise SystemExit(f"FRUGAL_REQUIRE_DATA=1, but {relative} is not below FRUGAL_SHARED_DATA")
    print(f"note: real material '{relative}' is not on this machine; that part is left out")
    return None


def copy_model(source, target, tokenizer=None):
    """A writable copy of a Hugging Face folder, with a tokenizer file of another place beside it."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    os.chmod(target, 0o755)
    if tokenizer is not None:
        shutil.copyfile(tokenizer[0], Path(target) / tokenizer[1])
    return Path(target)


CORPUS = ["The lamp is small but the light it gives is warm and steady.", "I would not buy this chair again, although it looks fine.",
          "A blue kettle with a long spout; it boils quickly and pours well.", "Numbers like 12, 345 and 6789 are text as well."] * 40


def quantized_tensors(config):
    """Of a Llama: the matrices of its layers, embedding and head, which are one where they are tied."""
    return 7 * config["num_hidden_layers"] + (1 if config.get("tie_word_embeddings") else 2)


def make_llama(folder, seed=7, hidden=256, ffn=512, layers=2, heads=4, kv_heads=2, vocabulary=384, tied=True, scaling=None, context=128):
    """A seeded Llama with a byte-level BPE tokenizer, as a Hugging Face folder. Widths fit every grid."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    folder = Path(folder)
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.save(str(folder / "tokenizer.json"))
    json.dump({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "add_bos_token": False, "model_max_length": context,
               "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False},
              open(folder / "tokenizer_config.json", "w"))
    random = np.random.default_rng(seed)
    size = hidden // heads
    tensors = {"model.embed_tokens.weight": random.normal(0, 0.5, (vocabulary, hidden)), "model.norm.weight": random.uniform(0.5, 1.5, hidden)}
    if not tied:
        tensors["lm_head.weight"] = random.normal(0, 0.06, (vocabulary, hidden))
    for layer in range(layers):
        p = f"model.layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{p}{name}.weight"] = random.uniform(0.5, 1.5, hidden)
        shapes = {"self_attn.q_proj": (heads * size, hidden), "self_attn.k_proj": (kv_heads * size, hidden), "self_attn.v_proj": (kv_heads * size, hidden),
                  "self_attn.o_proj": (hidden, heads * size), "mlp.gate_proj": (ffn, hidden), "mlp.up_proj": (ffn, hidden), "mlp.down_proj": (hidden, ffn)}
        for name, shape in shapes.items():
            tensors[f"{p}{name}.weight"] = random.normal(0, 1 / np.sqrt(shape[1]), shape)
    save_file({name: np.ascontiguousarray(value.astype(np.float32)) for name, value in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
              "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": size, "vocab_size": vocabulary, "max_position_embeddings": context,
              "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": scaling, "hidden_act": "silu", "tie_word_embeddings": tied, "attention_bias": False,
              "mlp_bias": False, "bos_token_id": 0, "eos_token_id": 0, "torch_dtype": "float32"}
    json.dump(config, open(folder / "config.json", "w"))
    (folder.parent / f"{folder.name}-text.txt").write_text("\n\n".join(CORPUS), encoding="utf-8")
    return folder


DTYPES = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "I32": "<i4", "I64": "<i8", "I8": "i1", "U8": "u1"}


def raw_tensors(folder):
    """Tensors of a folder's safetensors files: name -> (dtype as the file calls it, array); bf16, which NumPy lacks, is widened to fp32."""
    result = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        data = file.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        for name, info in json.loads(data[8:8 + size]).items():
            if name == "__metadata__":
                continue
            begin, end = (8 + size + offset for offset in info["data_offsets"])
            value = np.frombuffer(data[begin:end], dtype=DTYPES[info["dtype"]])
            if info["dtype"] == "BF16":
                value = (value.astype(np.uint32) << 16).view(np.float32)
            result[name] = info["dtype"], value.reshape(info["shape"])
    return result


def load_weights(folder):
    """The same as fp32 arrays, for folders of plain weights."""
    return {name: value.astype(np.float32) for name, (_, value) in raw_tensors(folder).items()}


def inverse_frequencies(config):
    size = config["head_dim"]
    frequency = config["rope_theta"] ** (-np.arange(0, size, 2) / size)
    scaling = config.get("rope_scaling")
    if not scaling:
        return frequency
    wavelength = 2 * np.pi / frequency
    original, low, high, factor = (scaling[k] for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor", "factor"))
    smooth = np.clip((original / wavelength - low) / (high - low), 0, 1)
    return (1 - smooth) * frequency / factor + smooth * frequency


def numpy_llama(folder, ids, weights=None, tap=lambda matrix, x: None):
    """fp64 logits [T, V]: an implementation that shares nothing with ours. `weights`: from load_weights, to load them once; `tap` sees
    every decoder matrix's name and input [T, in]."""
    config = json.load(open(Path(folder) / "config.json"))
    W = {name: value.astype(np.float64) for name, value in (weights or load_weights(folder)).items()}
    heads, kv, size, eps = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"], config["rms_norm_eps"]
    T = len(ids)
    angle = np.outer(np.arange(T), inverse_frequencies(config))
    cosine, sine = np.cos(np.concatenate([angle, angle], 1)), np.sin(np.concatenate([angle, angle], 1))
    norm = lambda x, w: x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w
    def rotate(x):  # [T, heads, size]
        half = size // 2
        return x * cosine[:, None] + np.concatenate([-x[..., half:], x[..., :half]], -1) * sine[:, None]
    x = W["model.embed_tokens.weight"][ids]
    mask = np.triu(np.full((T, T), -np.inf), 1)
    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        h = norm(x, W[p + "input_layernorm.weight"])
        for matrix in "qkv":
            tap(f"{p}self_attn.{matrix}_proj.weight", h)
        q = rotate((h @ W[p + "self_attn.q_proj.weight"].T).reshape(T, heads, size))
        k = rotate((h @ W[p + "self_attn.k_proj.weight"].T).reshape(T, kv, size)).repeat(heads // kv, 1)
        v = (h @ W[p + "self_attn.v_proj.weight"].T).reshape(T, kv, size).repeat(heads // kv, 1)
        s = np.einsum("thd,shd->hts", q, k) / np.sqrt(size) + mask
        s = np.exp(s - s.max(-1, keepdims=True))
        s /= s.sum(-1, keepdims=True)
        mixed = np.einsum("hts,shd->thd", s, v).reshape(T, -1)
        tap(p + "self_attn.o_proj.weight", mixed)
        x = x + mixed @ W[p + "self_attn.o_proj.weight"].T
        h = norm(x, W[p + "post_attention_layernorm.weight"])
        for matrix in ("gate", "up"):
            tap(f"{p}mlp.{matrix}_proj.weight", h)
        gate = h @ W[p + "mlp.gate_proj.weight"].T
        product = gate / (1 + np.exp(-gate)) * (h @ W[p + "mlp.up_proj.weight"].T)
        tap(p + "mlp.down_proj.weight", product)
        x = x + product @ W[p + "mlp.down_proj.weight"].T
    head = W.get("lm_head.weight", W["model.embed_tokens.weight"])
    return norm(x, W["model.norm.weight"]) @ head.T
