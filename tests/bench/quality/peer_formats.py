"""What the peers write, read with NumPy alone: GPTQ v1/v2, compressed-tensors (pack-quantized) and GGUF, as plain folders with fp32 weights.

Written from the descriptions of the formats, with no library of a peer (GGUF blocks: the `gguf` package), so that one evaluation can score
all of them alike. `bytes` is what the decoder's matrices take in the file, with everything that belongs to them.
"""
import json
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))
import common  # noqa: E402
from gguf_names import hugging_face_name  # noqa: E402

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")


def unpacked(words, bits, axis):
    """Codes of 32-bit words [.., n, ..] along `axis`, lowest bits first: [.., n * 32 / bits, ..]."""
    words = np.moveaxis(words.view(np.uint32), axis, -1)
    codes = (words[..., None] >> (np.arange(32 // bits, dtype=np.uint32) * bits)) & np.uint32((1 << bits) - 1)
    return np.moveaxis(codes.reshape(*words.shape[:-1], -1).astype(np.int64), -1, axis)


def gptq_matrix(parts, bits, offset):
    """[out, in] from qweight [in / n, out], qzeros [groups, out / n] (stored less `offset`), scales [groups, out], g_idx [in]."""
    group = parts["g_idx"]
    zeros = (unpacked(parts["qzeros"], bits, 1) + offset) & ((1 << bits) - 1)
    codes = unpacked(parts["qweight"], bits, 0)
    return (parts["scales"].astype(np.float32)[group] * (codes - zeros[group])).T


def compressed_matrix(parts, bits):
    """[out, in] from weight_packed [out, in / n], weight_scale [out, groups], and, where there are any, zero points and g_idx."""
    rows, columns = parts["weight_shape"].tolist()
    scale = parts["weight_scale"].astype(np.float32)
    group = parts["weight_g_idx"] if "weight_g_idx" in parts else np.arange(columns) // (columns // scale.shape[1])
    zero = np.full(scale.shape, 1 << (bits - 1))
    if "weight_zero_point" in parts:
        zero = unpacked(parts["weight_zero_point"], bits, 0)[:rows]
    return scale[:, group] * (unpacked(parts["weight_packed"], bits, 1)[:, :columns] - zero[:, group])


def write_plain(tensors, model, out):
    """A Hugging Face folder: `tensors` as fp32, configuration and tokenizer of `model`."""
    from safetensors.numpy import save_file
    out.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()}, out / "model.safetensors", {"format": "pt"})
    config = json.load(open(Path(model) / "config.json"))
    config.pop("dtype", None)
    json.dump(config | {"torch_dtype": "float32"}, open(out / "config.json", "w"))
    for name in TOKENIZER_FILES:
        if (Path(model) / name).exists():
            shutil.copyfile(Path(model) / name, out / name)


def plain_from_safetensors(folder, model, out):
    """Decodes a GPTQ or compressed-tensors folder; returns the bytes of its packed matrices, by the part's name."""
    settings = json.load(open(Path(folder) / "config.json"))["quantization_config"]
    bits = settings["bits"] if "bits" in settings else next(iter(settings["config_groups"].values()))["weights"]["num_bits"]
    offset = 0 if settings.get("checkpoint_format") == "gptq_v2" else 1
    raw, packed, plain, sizes = common.raw_tensors(folder), {}, {}, {}
    marks = {name.rsplit(".", 1)[0] for name in raw if name.endswith((".qweight", ".weight_packed"))}
    for name, (_, value) in raw.items():
        owner, part = name.rsplit(".", 1)
        if owner in marks:
            packed.setdefault(owner, {})[part] = value
            sizes[part] = sizes.get(part, 0) + value.nbytes
        else:
            plain[name] = value
    for owner, parts in packed.items():
        plain[owner + ".weight"] = gptq_matrix(parts, bits, offset) if "qweight" in parts else compressed_matrix(parts, bits)
    write_plain(plain, model, out)
    return sizes


def plain_from_gguf(file, model, out):
    """Decodes llama.cpp's file, rows of Q and K in Hugging Face's order again; returns the decoder matrices' bytes."""
    import gguf
    config = json.load(open(Path(model) / "config.json"))
    heads = {".attn_q.": config["num_attention_heads"], ".attn_k.": config["num_key_value_heads"]}
    tensors = {}
    for tensor in gguf.GGUFReader(str(file)).tensors:
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(tensor.shape[::-1].tolist())
        for mark, count in heads.items():
            if mark in tensor.name:
                value = value.reshape(count, -1, 2, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        tensors[hugging_face_name(tensor.name)] = value
    write_plain(tensors, model, out)
    return gguf_bytes(file)


def gguf_bytes(file):
    import gguf
    sizes = {}
    for t in gguf.GGUFReader(str(file)).tensors:
        if t.name.startswith("blk.") and len(t.shape) == 2:
            sizes[t.tensor_type.name.lower()] = sizes.get(t.tensor_type.name.lower(), 0) + int(t.n_bytes)
    return sizes


def frugal_bytes(folder):
    """Packed matrices in a folder of frugal's own."""
    return {"packed": sum(value.nbytes for kind, value in common.raw_tensors(folder).values() if kind == "U8")}
