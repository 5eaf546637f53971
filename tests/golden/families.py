"""Seeded tiny checkpoints of every model family, and what transformers says of them.

A family's file families/<name>.json holds all that a test needs: the config as such models carry it, every tensor's shape, two prompts,
transformers' fp32 logits at all their positions (for every seventh id of the vocabulary) and its greedy continuation of each. The weights
are not stored: an integer generator makes them from tensor names, here in NumPy and for the C++ tests in
tests/support/family_checkpoint.cpp, bit for bit the same.

The generator. A tensor `name` of family `family` has the key FNV-1a-64(family + "/" + name). Element i (row by row) is
  u = SplitMix64(key + (i + 1) * 0x9E3779B97F4A7C15) >> 40, a number of 24 bits;  x = u / 2^23 - 1, in [-1, 1)
  value = float32(offset + scale * x), computed in double, `scale` rounded to float32 before
with, by the name's end,
  norm.weight             offset gain_offset of the file (1; 0 where the model adds 1 itself), scale 0.3; so ln_1, ln_2 and ln_f of GPT-2
  .bias                   offset 0, scale 0.5
  embed_tokens.weight     offset 0, scale embedding_scale of the file; so wte and wpe of GPT-2
  any other [.., N, K]    offset 0, scale 2 / sqrt(K), or 2 / sqrt(N) where GPT-2 stores it [in, out] (its name has ".c_")
large enough that a gain left out, a window off by one or a wrong rotary base shows in the first digit of the logits.

usage: families.py write  [NAME ...]       makes families/NAME.json anew (needs torch and transformers)
       families.py check  [NAME ...]       compares the stored files with what transformers says today
       families.py folder NAME FOLDER      the checkpoint as a Hugging Face folder, with a byte-level BPE tokenizer (needs tokenizers)
"""
import argparse
import hashlib
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np

FILES = Path(__file__).resolve().parent / "families"
VOCABULARY, LENGTHS, CONTINUATION, STRIDE = 300, (38, 26), 12, 7
TOLERANCE = 1e-5   # of `check`: two builds of torch differ by a few units in the last place of numbers of this size
DRAWS = 20
LEAST_MARGIN = 1e-2  # between the two best ids of a greedy step, so that no rounding turns one into the other


def config(model_type, architecture, **options):
    common = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
              "vocab_size": VOCABULARY, "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "hidden_act": "silu", "attention_bias": False,
              "initializer_range": 0.02, "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": False, "torch_dtype": "float32"}
    return {"architectures": [architecture], "model_type": model_type, **{k: v for k, v in {**common, **options}.items() if v is not REMOVED}}


REMOVED = object()


def phi3(**options):
    return config("phi3", "Phi3ForCausalLM", rope_theta=10000.0, rope_scaling=None, original_max_position_embeddings=128, pad_token_id=0,
                  embd_pdrop=0.0, resid_pdrop=0.0, attention_dropout=0.0, **options)


def gemma3(**options):
    return config("gemma3_text", "Gemma3ForCausalLM", hidden_size=96, num_hidden_layers=7, head_dim=32, num_key_value_heads=1,
                  query_pre_attn_scalar=32, sliding_window=8, hidden_act=REMOVED, hidden_activation="gelu_pytorch_tanh",
                  attn_logit_softcapping=None, final_logit_softcapping=None, tie_word_embeddings=REMOVED, **options)


def qwen3_moe(**options):
    return config("qwen3_moe", "Qwen3MoeForCausalLM", **{
        "rope_theta": 1000000.0, "head_dim": 32, "rope_scaling": None, "use_sliding_window": False, "sliding_window": None, "max_window_layers": 3,
        "num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 64, "norm_topk_prob": True, "decoder_sparse_step": 1,
        "mlp_only_layers": [], "output_router_logits": False, "router_aux_loss_coef": 0.001, **options})


def mixtral():
    return config("mixtral", "MixtralForCausalLM", rope_theta=1000000.0, sliding_window=None, attention_bias=REMOVED, num_local_experts=4,
                  num_experts_per_tok=2, output_router_logits=False, router_aux_loss_coef=0.02)


def factors(count, first):
    """Of frequencies, growing as those of published models do."""
    return [round(first * (1 + 0.35 * i), 4) for i in range(count)]


# A config as the model's own files have it; what is left out there is left out here (Gemma 3 does not say that it is tied).
FAMILIES = {
    "llama": config("llama", "LlamaForCausalLM", rms_norm_eps=1e-5, rope_theta=500000.0, mlp_bias=False, tie_word_embeddings=True,
                    rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                  "original_max_position_embeddings": 32}),
    "mistral": config("mistral", "MistralForCausalLM", rope_theta=10000.0, sliding_window=8, head_dim=32, attention_bias=REMOVED),
    "mistral-full": config("mistral", "MistralForCausalLM", rope_theta=1000000.0, sliding_window=None, attention_bias=REMOVED),
    "qwen2": config("qwen2", "Qwen2ForCausalLM", rope_theta=1000000.0, tie_word_embeddings=True, attention_bias=REMOVED,
                    use_sliding_window=False, sliding_window=8, max_window_layers=1),
    "qwen2-untied": config("qwen2", "Qwen2ForCausalLM", rope_theta=10000.0, attention_bias=REMOVED, use_sliding_window=False,
                           sliding_window=131072, max_window_layers=3),
    "qwen2-window": config("qwen2", "Qwen2ForCausalLM", rope_theta=1000000.0, tie_word_embeddings=True, attention_bias=REMOVED,
                           use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "qwen3": config("qwen3", "Qwen3ForCausalLM", rope_theta=1000000.0, head_dim=32, tie_word_embeddings=True, rope_scaling=None,
                    use_sliding_window=False, sliding_window=None, max_window_layers=3),
    # Query, key and value stored as one matrix, gate and up as another; as Phi-3-mini-4k has it with a window.
    "phi3": phi3(sliding_window=None),
    "phi3-window": phi3(sliding_window=8),
    "gemma3": gemma3(rope_theta=1000000, rope_local_base_freq=10000, rope_scaling=None, sliding_window_pattern=6),
    # Scores and logits are bounded; every second layer is windowed.
    "gemma2": config("gemma2", "Gemma2ForCausalLM", hidden_size=96, num_hidden_layers=4, head_dim=32, num_key_value_heads=2,
                     rope_theta=10000.0, query_pre_attn_scalar=32, sliding_window=8, hidden_act="gelu_pytorch_tanh",
                     hidden_activation="gelu_pytorch_tanh", attn_logit_softcapping=5.0, final_logit_softcapping=30.0,
                     tie_word_embeddings=REMOVED),
    "olmo2": config("olmo2", "Olmo2ForCausalLM", rope_theta=500000.0, rope_scaling=None, pad_token_id=0),
    "smollm3": config("smollm3", "SmolLM3ForCausalLM", num_hidden_layers=5, rope_theta=5000000.0, rope_scaling=None, mlp_bias=False,
                      no_rope_layers=[1, 1, 1, 0, 1], no_rope_layer_interval=4, use_sliding_window=False, sliding_window=None,
                      max_window_layers=28, layer_types=["full_attention"] * 5, pad_token_id=0, tie_word_embeddings=True),
    "granite": config("granite", "GraniteForCausalLM", rope_theta=10000.0, rope_scaling=None, mlp_bias=False, attention_multiplier=0.125,
                      embedding_multiplier=3.0, logits_scaling=0.25, residual_multiplier=0.22, pad_token_id=0, tie_word_embeddings=True),
    # Contexts longer than that of the first training: the first prompt of "phi3-longrope" is longer, the second is not, with all that follows.
    "llama-yarn": config("llama", "LlamaForCausalLM", rope_theta=10000.0, mlp_bias=False,
                         rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
    "phi3-longrope": {**phi3(num_attention_heads=2, sliding_window=None), "original_max_position_embeddings": 37,
                      "rope_scaling": {"type": "longrope", "short_factor": factors(16, 1.0), "long_factor": factors(16, 2.5)}},
    # Phi-4-mini: only the first channels of a head turn.
    "phi3-partial": {**phi3(num_attention_heads=2, sliding_window=None, tie_word_embeddings=True, partial_rotary_factor=0.5),
                     "original_max_position_embeddings": 37,
                     "rope_scaling": {"type": "longrope", "short_factor": factors(8, 1.0), "long_factor": factors(8, 2.5)}},
    "mixtral": mixtral(),
    # Experts in stacks, as newer versions of transformers can write them.
    "mixtral-stacked": mixtral(),
    "qwen3-moe-stacked": qwen3_moe(mlp_only_layers=[1]),
    "gpt2": {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new", "n_embd": 64, "n_head": 4, "n_layer": 3,
             "n_positions": 128, "n_ctx": 128, "layer_norm_epsilon": 1e-05, "initializer_range": 0.02, "attn_pdrop": 0.1, "embd_pdrop": 0.1,
             "resid_pdrop": 0.1, "vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0, "torch_dtype": "float32"},
    "qwen3-moe": qwen3_moe(),
    # Experts in all layers but the second.
    "qwen3-moe-mixed": qwen3_moe(mlp_only_layers=[1], norm_topk_prob=False),
    "olmoe": config("olmoe", "OlmoeForCausalLM", num_key_value_heads=4, rope_theta=10000.0, rope_scaling=None, num_experts=5, num_experts_per_tok=2,
                    norm_topk_prob=False, clip_qkv=None, output_router_logits=False, router_aux_loss_coef=0.01, pad_token_id=0),
    # As newer files and larger models have it: kinds of layers by name, rotary parameters per kind, a score scale of its own.
    "gemma3-scaled": {**gemma3(layer_types=["sliding_attention", "full_attention"] * 3 + ["sliding_attention"],
                               rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                                                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
                      "query_pre_attn_scalar": 24},
}


def one_plus(name):
    return name.startswith("gemma3")


def fnv1a(text):
    value = 0xcbf29ce484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return value


def splitmix64(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(key, count):
    """[-1, 1), of 24 bits: exact in float32."""
    with np.errstate(over="ignore"):
        state = np.uint64(key) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (splitmix64(state) >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def tensor(golden, name):
    shape = golden["tensors"][name]
    offset, scale = 0.0, 0.0
    if name.endswith(("norm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight")):
        offset, scale = golden["gain_offset"], 0.3
    elif name.endswith(".bias"):
        scale = 0.5
    elif name.endswith(("embed_tokens.weight", "wte.weight", "wpe.weight")):
        scale = golden["embedding_scale"]
    else:
        scale = 2 / math.sqrt(shape[-2 if ".c_" in name else -1])
    x = uniform(fnv1a(f"{golden['family']}/{name}"), int(np.prod(shape)))
    return (offset + float(np.float32(scale)) * x).astype(np.float32).reshape(shape)


def weights_sha256(golden):
    """Of all tensors' bytes, in the order of their names: holds the C++ generator to this one."""
    digest = hashlib.sha256()
    for name in sorted(golden["tensors"]):
        digest.update(tensor(golden, name).tobytes())
    return digest.hexdigest()


def prompts(family, draw):
    """Ids 1 to VOCABULARY - 1: id 0 is the end."""
    with np.errstate(over="ignore"):
        return [[1 + int(v) for v in splitmix64(np.uint64(fnv1a(f"{family}/prompt/{draw}/{row}")) + np.arange(1, length + 1, dtype=np.uint64)
                                                * np.uint64(0x9E3779B97F4A7C15)) % np.uint64(VOCABULARY - 1)] for row, length in enumerate(LENGTHS)]


def read(family):
    return json.loads((FILES / f"{family}.json").read_text())


def write_tokenizer(folder):
    """A byte-level BPE tokenizer of VOCABULARY pieces; id 0 is its special token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    corpus = ["the old house stood quiet under the rain and a carriage stopped before its door while nobody came out"] * 20
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<|endoftext|>"],
                                                              initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    assert tokenizer.get_vocab_size() == VOCABULARY, tokenizer.get_vocab_size()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "add_bos_token": False, "tokenizer_class": "PreTrainedTokenizerFast",
         "clean_up_tokenization_spaces": False}))


def write_folder(golden, folder, tokenizer=True):
    from safetensors.numpy import save_file
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(golden["config"], indent=1))
    save_file({name: tensor(golden, name) for name in golden["tensors"]}, folder / "model.safetensors", {"format": "pt"})
    if tokenizer:
        write_tokenizer(folder)
    return folder


def load_with_transformers(folder):
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model, report = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[kind]:
            raise SystemExit(f"families: transformers' {kind}: {report[kind]}")
    return model.eval()


def checkpoint_shapes(family, shapes):
    """The tensors of published checkpoints: transformers stacks the experts of a layer when it loads them."""
    if family.endswith("-stacked"):
        return shapes
    result = {}
    for name, shape in shapes.items():
        prefix, stacked, kind = name.partition(".mlp.experts.")
        if not stacked:
            result[name.replace(".mlp.gate.weight", ".block_sparse_moe.gate.weight") if family == "mixtral" else name] = shape
            continue
        half = [shape[1] // 2, shape[2]]
        for expert in range(shape[0]):
            parts = {"gate_proj": half, "up_proj": half} if kind == "gate_up_proj" else {"down_proj": shape[1:]}
            for part, sizes in parts.items():
                renamed = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}[part]
                result[f"{prefix}.block_sparse_moe.experts.{expert}.{renamed}.weight" if family == "mixtral"
                       else f"{prefix}.mlp.experts.{expert}.{part}.weight"] = sizes
    return result


def empty_golden(family, draw):
    """The golden of a family without its results: shapes are transformers' own."""
    import torch
    import transformers
    settings = FAMILIES[family]
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**json.loads(json.dumps(settings))))
    tied = model.config.tie_word_embeddings
    shapes = {name: list(value.shape) for name, value in model.state_dict().items() if not (tied and name == "lm_head.weight")}
    shapes = checkpoint_shapes(family, shapes)
    golden = {"family": family, "config": settings, "gain_offset": 0.0 if one_plus(family) else 1.0,
            "embedding_scale": 0.25 if one_plus(family) else 0.1 if family == "granite" else 1.0, "tensors": shapes, "draw": draw, "prompts": prompts(family, draw)}
    return {**golden, "weights_sha256": weights_sha256(golden)}


def whole_logits(model, ids):
    import torch
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0].double().numpy()


def results(golden):
    """{"columns", "logits", "greedy"} as transformers has them, and the least margin of a greedy step."""
    with tempfile.TemporaryDirectory() as folder:
        model = load_with_transformers(write_folder(golden, Path(folder) / "model", tokenizer=False))
        columns = list(range(0, VOCABULARY, STRIDE))
        logits, greedy, margin = [], [], math.inf
        for ids in golden["prompts"]:
            found = whole_logits(model, ids)
            logits.append([[float(f"{x:.7g}") for x in row] for row in found[:, columns]])
            ids = list(ids)
            for _ in range(CONTINUATION):
                last = whole_logits(model, ids)[-1]
                second, first = np.argsort(last)[-2:]
                margin = min(margin, last[first] - last[second])
                ids.append(int(first))
            greedy.append(ids[-CONTINUATION:])
        return {"columns": columns, "logits": logits, "greedy": greedy}, margin


def write(family):
    for draw in range(DRAWS):
        golden = empty_golden(family, draw)
        found, margin = results(golden)
        if margin >= LEAST_MARGIN and not any(0 in row for row in found["greedy"]):
            break
    else:
        raise SystemExit(f"families: {family}: with none of {DRAWS} draws of the prompts is every greedy step decided by {LEAST_MARGIN}")
    values = np.concatenate([np.ravel(x) for x in found["logits"]])
    print(f"{family}: {len(golden['tensors'])} tensors, logits to {abs(values).max():.2f}, deviation {values.std():.2f}, draw {draw}, "
          f"least greedy margin {margin:.4f}", flush=True)
    lines = [f'"{key}": {json.dumps(value)}' for key, value in golden.items()]
    lines += [f'"columns": {json.dumps(found["columns"])}', f'"greedy": {json.dumps(found["greedy"])}']
    rows = ",\n ".join("[" + ",\n  ".join(json.dumps(row) for row in sequence) + "]" for sequence in found["logits"])
    (FILES / f"{family}.json").write_text("{" + ",\n".join(lines) + f',\n"logits": [\n {rows}]}}\n')


def check(family):
    stored = read(family)
    fresh = empty_golden(family, stored["draw"])
    for key, value in fresh.items():
        if stored[key] != json.loads(json.dumps(value)):
            print(f"MISS {family}: {key} differs from what this script makes")
            return False
    found, _ = results(stored)
    difference = max(float(abs(np.array(a) - np.array(b)).max()) for a, b in zip(found["logits"], stored["logits"]))
    good = difference <= TOLERANCE and found["greedy"] == stored["greedy"]
    print(f"{'ok  ' if good else 'MISS'} {family}: logits differ by {difference:.2g} (tolerance {TOLERANCE:g}), greedy ids "
          f"{'equal' if found['greedy'] == stored['greedy'] else 'differ'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["write", "check", "folder"])
    parser.add_argument("names", nargs="*")
    a = parser.parse_args()
    if a.command == "folder":
        if len(a.names) != 2:
            parser.error("folder needs NAME FOLDER")
        write_folder(read(a.names[0]), a.names[1])
        return 0
    names = a.names or list(FAMILIES)
    if a.command == "write":
        for name in names:
            write(name)
        return 0
    return 0 if all([check(name) for name in names]) else 1


if __name__ == "__main__":
    sys.exit(main())
