"""Small folders as GPTQ, AWQ and compressed-tensors pack them, and what their weights are.

A case's folder packed/<name>/ holds config.json, model.safetensors and expected.json: the SHA-256 of every weight's fp32 bytes (row by row,
little-endian), by the name of the unpacked weight. Codes, scales and zero points come from a seeded generator, so that the weights are
known before anything is packed: w = (code - zero) * scale in fp32. Packing follows what each tool publishes; `check` reads the files by
other means: GPTQ and AWQ by the shifts of GPTQModel's and AutoAWQ's own dequantization (NumPy), compressed-tensors by its package.

usage: packed.py write [NAME ...]   makes packed/NAME anew (needs numpy, ml_dtypes, safetensors)
       packed.py check [NAME ...]   reads the stored folders back and compares (compressed-tensors where it is installed)
       packed.py judge [NAME ...]   compares the compressed-tensors folders with what transformers loads (with compressed-tensors)
"""
import argparse
import hashlib
import json
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file

FILES = Path(__file__).resolve().parent / "packed"
HIDDEN, WIDTH, VOCABULARY = 32, 64, 16
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": WIDTH,
         "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
         "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "attention_bias": False,
         "mlp_bias": False, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False, "torch_dtype": "float16"}
PHI3 = {**LLAMA, "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "pad_token_id": 0, "original_max_position_embeddings": 64,
        "rope_scaling": None, "sliding_window": None}
LAYER = "model.layers.0."


def modules(config):
    """The linear modules of the layer as they are stored, [rows, columns]."""
    attention, feed = LAYER + "self_attn.", LAYER + "mlp."
    result = {attention + "o_proj": (HIDDEN, HIDDEN), feed + "down_proj": (HIDDEN, WIDTH)}
    if config["model_type"] == "phi3":
        return {**result, attention + "qkv_proj": (3 * HIDDEN, HIDDEN), feed + "gate_up_proj": (2 * WIDTH, HIDDEN)}
    for name in "qkv":
        result[f"{attention}{name}_proj"] = (HIDDEN, HIDDEN)
    return {**result, feed + "gate_proj": (WIDTH, HIDDEN), feed + "up_proj": (WIDTH, HIDDEN)}


def split(name, weight):
    """The weights that a stored module's rows are."""
    for fused, parts in (("qkv_proj", [("q_proj", HIDDEN), ("k_proj", HIDDEN), ("v_proj", HIDDEN)]),
                         ("gate_up_proj", [("gate_proj", WIDTH), ("up_proj", WIDTH)])):
        if name.endswith(fused):
            row, result = 0, {}
            for part, rows in parts:
                result[name.removesuffix(fused) + part] = weight[row:row + rows]
                row += rows
            return result
    return {name: weight}


class Case:
    """How one folder is packed. `bits`, `group` (0: whole rows), `zeros` (zero points of their own), `ordered` (columns in groups by
    an order), `scale_type`, `plain` (modules that stay plain)."""

    def __init__(self, pack, settings, bits=4, group=16, zeros=False, ordered=False, scale_type=np.float16, plain=(), config=LLAMA,
                 levels="int", **options):
        self.pack, self.settings, self.bits, self.group, self.zeros, self.ordered = pack, settings, bits, group, zeros, ordered
        self.scale_type, self.plain, self.config, self.levels, self.options = scale_type, plain, config, levels, options


# Packing.

def bit_rows(values, bits):
    """[n, m] unsigned codes, n packed into 32-bit words down each column, dense from the low bits on -> [ceil(n * bits / 32), m]."""
    n, m = values.shape
    words = np.zeros((-(-n * bits // 32) + 1, m), np.uint64)
    for i in range(n):
        word, shift = divmod(i * bits, 32)
        words[word] |= (values[i].astype(np.uint64) << np.uint64(shift)) & np.uint64(0xFFFFFFFF)
        words[word + 1] |= values[i].astype(np.uint64) >> np.uint64(32 - shift)
    return words[:-1].astype(np.uint32).view(np.int32)


def pack_gptq(case, codes, scales, zeros, order):
    packed_zeros = bit_rows(zeros, case.bits).T.copy()  # zeros [rows, groups] -> [groups, words]
    if case.settings.get("checkpoint_format", "gptq") == "gptq":  # v1: one less in every field of a word at once, fields borrow
        if case.bits == 3:
            packed_zeros = bit_rows((zeros - 1) % 8, 3).T.copy()
        else:
            ones = sum(1 << bit for bit in range(0, 32, case.bits))
            packed_zeros = (packed_zeros.view(np.uint32) - np.uint32(ones)).view(np.int32)
    return {"qweight": bit_rows(codes.T, case.bits), "qzeros": packed_zeros, "scales": scales.T.copy(), "g_idx": order}


def awq_words(values):
    """[n, rows] codes of 4 bits, eight neighbors of a row of the matrix in a word in the order 0, 2, 4, 6, 1, 3, 5, 7."""
    n, rows = values.shape
    words = np.zeros((n, rows // 8), np.uint32)
    for nibble, column in enumerate([0, 2, 4, 6, 1, 3, 5, 7]):
        words |= values[:, column::8].astype(np.uint32) << np.uint32(4 * nibble)
    return words.view(np.int32)


def pack_awq(case, codes, scales, zeros, order):
    return {"qweight": awq_words(codes.T), "qzeros": awq_words(zeros.T), "scales": scales.T.copy()}


def pack_compressed(case, codes, scales, zeros, order):
    result = {"weight_packed": bit_rows(codes.T, case.bits).T.copy(), "weight_scale": scales,
              "weight_shape": np.array(codes.shape, np.int64)}
    if case.zeros:
        result["weight_zero_point"] = bit_rows(zeros, case.bits)
    if case.ordered:
        result["weight_g_idx"] = order
    return result


def pack_int8(case, codes, scales, zeros, order):
    result = {"weight": (codes.astype(np.int16) - 128).astype(np.int8), "weight_scale": scales}
    if case.zeros:
        result["weight_zero_point"] = (zeros.astype(np.int16) - 128).astype(np.int8)
    return result


def pack_float8(case, codes, scales, zeros, order):
    return {"weight": codes.view(ml_dtypes.float8_e4m3fn), "weight_scale": scales}


def pack_nvfp4(case, codes, scales, zeros, order):
    return {"weight_packed": codes[:, ::2] | codes[:, 1::2] << 4, "weight_scale": scales, "weight_global_scale": GLOBAL}


GLOBAL = np.array([448.0 * 6 / 0.7], np.float32)
FLOAT4 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6], np.float32)


# Material.

def scale_shape(case, rows, columns):
    group = case.group or columns
    groups = -(-columns // group)
    if case.options.get("block"):
        return (-(-rows // case.options["block"]), groups)
    return (1,) if case.options.get("tensor") else (rows, groups)


def material(case, name, rows, columns):
    """Codes, scales as stored, zero points, group of each column, and the weight."""
    random = np.random.default_rng(list(name.encode()) + [case.bits, case.group, case.zeros])
    group = case.group or columns
    groups = -(-columns // group)
    codes = random.integers(0, 1 << case.bits, (rows, columns), dtype=np.uint8)
    if case.levels == "float8":
        codes[(codes & 0x7f) == 0x7f] = 0  # NaN
    scales = random.uniform(0.002, 0.03, scale_shape(case, rows, columns)).astype(np.float32).astype(case.scale_type)
    if case.levels == "float4":
        scales = random.uniform(1, 440, (rows, groups)).astype(np.float32).astype(ml_dtypes.float8_e4m3fn)
    middle = 1 << (case.bits - 1) if case.levels == "int" else 0
    zeros = np.full((rows, groups), middle, np.uint8)
    if case.zeros:
        zeros = random.integers(0, 1 << case.bits, (rows, groups), dtype=np.uint8)
    order = (np.arange(columns) // group).astype(np.int32)
    if case.ordered:
        order = random.permutation(order)
    values = {"int": lambda: codes.astype(np.float32), "float8": lambda: codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32),
              "float4": lambda: FLOAT4[codes]}[case.levels]()
    each = scales.astype(np.float32)
    if case.levels == "float4":
        each = each / GLOBAL
    if case.options.get("block"):
        each = np.repeat(each, case.options["block"], axis=0)[:rows]
    each = np.broadcast_to(each, (rows, groups))
    weight = (values - zeros[:, order].astype(np.float32)) * each[:, order]
    return codes, scales, zeros, order, weight + np.float32(0)  # no negative zeros: their sign is not kept


def plain_tensors(case):
    random = np.random.default_rng(7)
    shapes = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "lm_head.weight": (VOCABULARY, HIDDEN), "model.norm.weight": (HIDDEN,),
              LAYER + "input_layernorm.weight": (HIDDEN,), LAYER + "post_attention_layernorm.weight": (HIDDEN,)}
    return {name: random.normal(0, 0.1, shape).astype(np.float16) for name, shape in shapes.items()}


def compressed(bits, format="pack-quantized", kind="int", zeros=False, group=0, strategy=None, ignore=("lm_head",), inputs=None, **weights):
    arguments = {"num_bits": bits, "type": kind, "symmetric": not zeros, "strategy": strategy or ("group" if group else "channel"),
                 "group_size": group or None, "dynamic": False, "observer": "minmax", **weights}
    return {"quant_method": "compressed-tensors", "format": format, "quantization_status": "compressed", "ignore": list(ignore),
            "global_compression_ratio": None, "kv_cache_scheme": None,
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": arguments, "input_activations": inputs,
                                          "output_activations": None}}}


def gptq(bits=4, group=16, ordered=False, symmetric=True, **more):
    return {"quant_method": "gptq", "bits": bits, "group_size": group or -1, "desc_act": ordered, "sym": symmetric, "lm_head": False, **more}


AWQ = {"quant_method": "awq", "bits": 4, "group_size": 16, "zero_point": True, "version": "gemm", "modules_to_not_convert": None}
INT8_INPUTS = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True, "group_size": None}
FP8_INPUTS = {**INT8_INPUTS, "type": "float"}
DOWN = LAYER + "mlp.down_proj"

CASES = {
    "gptq-v1": Case(pack_gptq, gptq()),
    "gptq-v1-asym": Case(pack_gptq, gptq(symmetric=False), zeros=True),
    "gptq-v2-asym": Case(pack_gptq, gptq(symmetric=False, checkpoint_format="gptq_v2"), zeros=True),
    "gptq-order": Case(pack_gptq, gptq(ordered=True), ordered=True),
    "gptq-2bit": Case(pack_gptq, gptq(bits=2, symmetric=False), bits=2, zeros=True),
    "gptq-3bit": Case(pack_gptq, gptq(bits=3, symmetric=False), bits=3, zeros=True),
    "gptq-8bit-row": Case(pack_gptq, gptq(bits=8, group=0), bits=8, group=0, plain=(DOWN,)),
    "gptq-fused": Case(pack_gptq, gptq(symmetric=False), zeros=True, config=PHI3),
    "awq": Case(pack_awq, AWQ, zeros=True),
    "awq-mixed": Case(pack_awq, {**AWQ, "modules_to_not_convert": ["down_proj"]}, zeros=True, plain=(DOWN,)),
    "ct-w4": Case(pack_compressed, compressed(4, group=16), scale_type=ml_dtypes.bfloat16),
    "ct-w4-asym": Case(pack_compressed, compressed(4, group=16, zeros=True), zeros=True),
    "ct-w4-order": Case(pack_compressed, compressed(4, group=16, actorder="group"), ordered=True),
    "ct-w8-channel": Case(pack_compressed, compressed(8, ignore=["lm_head", "re:.*down_proj"]), bits=8, group=0, plain=(DOWN,)),
    "ct-w3": Case(pack_compressed, compressed(3, group=16, zeros=True), bits=3, zeros=True),
    "ct-w6": Case(pack_compressed, compressed(6, group=16), bits=6),
    "ct-f32-scales": Case(pack_compressed, compressed(4, group=16), scale_type=np.float32),
    "ct-int8": Case(pack_int8, compressed(8, "int-quantized", inputs=INT8_INPUTS), bits=8, group=0, scale_type=ml_dtypes.bfloat16),
    "ct-int8-asym": Case(pack_int8, compressed(8, "int-quantized", zeros=True), bits=8, group=0, zeros=True),
    "ct-fp8-channel": Case(pack_float8, compressed(8, "float-quantized", "float", inputs=FP8_INPUTS), bits=8, group=0, levels="float8"),
    "ct-fp8-tensor": Case(pack_float8, compressed(8, "float-quantized", "float", strategy="tensor"), bits=8, group=0, levels="float8",
                          tensor=True, scale_type=ml_dtypes.bfloat16),
    "ct-fp8-block": Case(pack_float8, compressed(8, "float-quantized", "float", strategy="block", block_structure=[24, 16]), bits=8,
                         levels="float8", block=24),
    "ct-nvfp4": Case(pack_nvfp4, compressed(4, "nvfp4-pack-quantized", "float", group=16, strategy="tensor_group"), levels="float4"),
}


def digest(weight):
    return hashlib.sha256(np.ascontiguousarray(weight, "<f4").tobytes()).hexdigest()


def write(name):
    case, folder = CASES[name], FILES / name
    folder.mkdir(parents=True, exist_ok=True)
    tensors, expected = plain_tensors(case), {}
    for plain, weight in tensors.items():
        expected[plain] = digest(weight.astype(np.float32))
    for module, (rows, columns) in modules(case.config).items():
        codes, scales, zeros, order, weight = material(case, module, rows, columns)
        if module in case.plain:
            weight = weight.astype(np.float16).astype(np.float32)
            tensors[module + ".weight"] = weight.astype(np.float16)
        else:
            packed = case.pack(case, codes, scales, zeros, order)
            tensors.update({f"{module}.{part}": np.ascontiguousarray(value) for part, value in packed.items()})
        expected.update({f"{part}.weight": digest(rows) for part, rows in split(module, weight).items()})
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**case.config, "quantization_config": case.settings}, indent=1) + "\n")
    (folder / "expected.json").write_text(json.dumps(dict(sorted(expected.items())), indent=1) + "\n")
    print(f"{name}: {len(tensors)} tensors, {(folder / 'model.safetensors').stat().st_size} bytes")


# Reading, by other means.

def shifted(words, bits, axis):
    """Fields of words along `axis` (0: down, 1: across) by arithmetic shifts, as the tools' torch code has it; bits divides 32."""
    shifts = np.arange(0, 32, bits, dtype=np.int32)
    if axis == 0:
        return ((words[:, None, :] >> shifts[None, :, None]) & ((1 << bits) - 1)).reshape(-1, words.shape[1])
    return ((words[:, :, None] >> shifts[None, None, :]) & ((1 << bits) - 1)).reshape(words.shape[0], -1)


def three_bits(words):
    """[n, m] down: 10 codes of a word, one across to the next, 10, one across, 10 (GPTQModel, BaseQuantLinear.dequantize_weight)."""
    w = words.reshape(words.shape[0] // 3, 3, 1, words.shape[1])
    shifts = np.array([[0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0], [0, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31],
                       [0, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0]], np.int32).reshape(1, 3, 12, 1)
    w = (np.repeat(w, 12, axis=2) >> shifts) & 7
    w[:, 0, 10] = (w[:, 0, 10] & 3) | ((w[:, 1, 0] << 2) & 4)
    w[:, 1, 11] = (w[:, 1, 11] & 1) | ((w[:, 2, 0] << 1) & 6)
    return np.concatenate([w[:, 0, :11], w[:, 1, 1:12], w[:, 2, 1:11]], axis=1).reshape(-1, words.shape[1])


def read_gptq(case, t, module):
    bits, zeros = case.bits, t[module + ".qzeros"]
    v1 = case.settings.get("checkpoint_format", "gptq") == "gptq"
    if bits == 3:
        codes, zeros = three_bits(t[module + ".qweight"]), (three_bits(zeros.T.copy()).T + (1 if v1 else 0)) & 7
    else:
        if v1:
            zeros = (zeros.view(np.uint32) + np.uint32({2: 0x55555555, 4: 0x11111111, 8: 0x01010101}[bits])).view(np.int32)
        codes, zeros = shifted(t[module + ".qweight"], bits, 0), shifted(zeros, bits, 1)
    order = t[module + ".g_idx"]
    return (t[module + ".scales"].astype(np.float32)[order] * (codes - zeros[order]).astype(np.float32)).T


def read_awq(case, t, module):
    reverse = [0, 4, 1, 5, 2, 6, 3, 7]  # AWQ_REVERSE_ORDER
    def fields(words):
        values = shifted(words, 4, 1)
        return values[:, np.arange(values.shape[1]).reshape(-1, 8)[:, reverse].ravel()]
    codes, zeros = fields(t[module + ".qweight"]), fields(t[module + ".qzeros"])
    group = case.group
    return ((codes - np.repeat(zeros, group, 0)).astype(np.float32) * np.repeat(t[module + ".scales"].astype(np.float32), group, 0)).T


def read_compressed(case, folder, module):
    """By the package, on fp32 scales: what it then gives is rounded nowhere else."""
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme
    from safetensors.torch import load_file as load_torch
    stored = load_torch(folder / "model.safetensors")
    state = {name[len(module) + 1:]: value for name, value in stored.items() if name.startswith(module + ".")}
    if case.levels != "float4":
        state["weight_scale"] = state["weight_scale"].to(torch.float32)
    settings = json.loads(json.dumps(case.settings["config_groups"]["group_0"]))
    ordered = settings["weights"].pop("actorder", None)
    order = state.pop("weight_g_idx", None)
    scheme = QuantizationScheme.model_validate(settings)
    if ordered:  # newer packages have no such order: columns move to their groups and back
        raise NotImplementedError("weight_g_idx")
    if case.levels == "float4":  # the package would round the products to bfloat16
        from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
        from compressed_tensors.quantization.lifecycle.forward import dequantize
        rows, columns = state["weight_packed"].shape
        return dequantize(unpack_fp4_from_uint8(state["weight_packed"], rows, 2 * columns, torch.float32),
                          state["weight_scale"].to(torch.float32), args=scheme.weights, dtype=torch.float32,
                          global_scale=state["weight_global_scale"]).numpy()
    compressor = BaseCompressor.get_value_from_registry(case.settings["format"])
    return compressor.decompress(state, scheme)["weight"].to(torch.float32).numpy()


def weights_of(case, folder, module):
    if case.pack not in (pack_gptq, pack_awq) and module not in case.plain:
        return read_compressed(case, folder, module)
    tensors = load_file(folder / "model.safetensors")  # has no float8
    if module in case.plain:
        return tensors[module + ".weight"].astype(np.float32)
    return (read_gptq if case.pack is pack_gptq else read_awq)(case, tensors, module)


def check(name):
    case, folder = CASES[name], FILES / name
    expected = json.loads((folder / "expected.json").read_text())
    bad = []
    try:
        for module in modules(case.config):
            weight = weights_of(case, folder, module) + np.float32(0)
            bad += [part for part, rows in split(module, weight).items() if digest(rows) != expected[part + ".weight"]]
    except (ImportError, NotImplementedError) as reason:
        print(f"skip {name}: {reason}")
        return True
    print(f"{'MISS' if bad else 'ok  '} {name}{': ' + ', '.join(bad) if bad else ''}")
    return not bad


def judge(name):
    """The folder as transformers loads it, with compressed-tensors. Scales are made fp32 first, which changes no value: it rounds what it
    unpacks to their type."""
    case = CASES[name]
    if case.pack in (pack_gptq, pack_awq) or case.ordered or case.levels == "float4":
        return True
    import shutil
    import tempfile
    import torch
    import transformers
    from safetensors.torch import load_file as load_torch, save_file as save_torch
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    expected = json.loads((FILES / name / "expected.json").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = json.loads((FILES / name / "config.json").read_text())
        config["torch_dtype"] = "float32"
        (folder / "config.json").write_text(json.dumps(config))
        stored = load_torch(FILES / name / "model.safetensors")
        save_torch({key: value.to(torch.float32) if value.is_floating_point() and value.dtype != torch.float8_e4m3fn else value
                    for key, value in stored.items()}, folder / "model.safetensors", {"format": "pt"})
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, quantization_config=transformers.CompressedTensorsConfig(dequantize=True))
        found = {key: value.to(torch.float32).numpy() + np.float32(0) for key, value in model.state_dict().items()}
    bad = [key for key, value in expected.items() if key not in found or digest(found[key]) != value]
    print(f"{'MISS' if bad else 'ok  '} {name} in transformers{': ' + ', '.join(bad) if bad else ''}", flush=True)
    return not bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["write", "check", "judge"])
    parser.add_argument("names", nargs="*")
    a = parser.parse_args()
    names = a.names or list(CASES)
    if a.command == "write":
        for name in names:
            write(name)
        return 0
    look = judge if a.command == "judge" else check
    return 0 if all([look(name) for name in names]) else 1


if __name__ == "__main__":
    sys.exit(main())
