#!/usr/bin/env python3
"""Seeds for the fuzz targets: FOLDER/<target>/, from files of this repository and of a folder of real material.

    make_seeds.py FOLDER [SHARED_DATA]

A fuzzer learns most from small inputs that are accepted: files up to 64 KiB go in as they are, a large tokenizer.json with its
first pieces and the merges among them, a large SentencePiece model with its first pieces and all else, of safetensors the header
over zeros where the tensors are small enough.
"""
import json
import pathlib
import re
import struct
import sys

LARGEST = 64 << 10
PIECES = 300
ROOT = pathlib.Path(__file__).resolve().parents[2]


def small(path):
    return path.is_file() and 0 < path.stat().st_size <= LARGEST


def shrunk_tokenizer(path):
    """The first pieces (bytes are among them), the merges that give one of them, and everything else as it was."""
    root = json.loads(path.read_text(encoding="utf-8"))
    model = root.get("model", {})
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocabulary, dict) or not isinstance(merges, list):
        return None
    kept = {piece: index for piece, index in vocabulary.items() if index < PIECES}
    def parts(merge):
        return merge if isinstance(merge, list) else merge.split(" ", 1)
    model["vocab"] = kept
    model["merges"] = [m for m in merges if all(p in kept for p in parts(m)) and "".join(parts(m)) in kept]
    names = sorted({t["content"] for t in root.get("added_tokens", []) if t["id"] < PIECES})
    root["added_tokens"] = [t for t in root.get("added_tokens", []) if t["content"] in names]
    return json.dumps(root, ensure_ascii=False).encode()


def wire_fields(data):
    """(number, whole field) of a protobuf message."""
    at = 0
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        start = at
        key = varint()
        kind = key & 7
        if kind == 0:
            varint()
        elif kind == 1:
            at += 8
        elif kind == 5:
            at += 4
        else:
            length = varint()
            at += length
        yield key >> 3, data[start:at]


def shrunk_sentencepiece(path):
    pieces, rest = [], []
    for number, field in wire_fields(path.read_bytes()):
        (pieces if number == 1 else rest).append(field)
    rest = [field for field in rest if len(field) < 4096]  # not a table of characters
    return b"".join(pieces[:PIECES] + rest)


def shrunk_safetensors(path):
    """The header of the first tensors that fit, over zeros."""
    with path.open("rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    result, end = {}, 0
    for name, entry in header.items():
        if name == "__metadata__":
            result[name] = entry
            continue
        begin, stop = entry["data_offsets"]
        if end + stop - begin <= LARGEST // 2:
            result[name] = dict(entry, data_offsets=[end, end + stop - begin])
            end += stop - begin
    text = json.dumps(result).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def gguf_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(value):
    """Type and content of one metadata value: bool, int (U32), float (F32), str, or a list of int (I32), float or str."""
    if isinstance(value, list):
        kind = 8 if isinstance(value[0], str) else 6 if isinstance(value[0], float) else 5
        items = b"".join(gguf_text(v) if kind == 8 else struct.pack("<f" if kind == 6 else "<i", v) for v in value)
        return struct.pack("<IIQ", 9, kind, len(value)) + items
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_text(value)
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    return struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)


def gguf_model(architecture, tokenizer):
    """A whole model of one layer and the smallest sizes, which an import accepts."""
    rows = len(tokenizer["tokenizer.ggml.tokens"])
    numbers = {"block_count": 1, "context_length": 64, "embedding_length": 8, "feed_forward_length": 8, "attention.head_count": 2,
               "attention.head_count_kv": 1, "attention.key_length": 4, "attention.value_length": 4,
               "attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": 1e4}
    shapes = {"token_embd": [8, rows], "output_norm": [8], "blk.0.attn_norm": [8], "blk.0.attn_q": [8, 8], "blk.0.attn_k": [8, 4],
              "blk.0.attn_v": [8, 4], "blk.0.attn_output": [8, 8], "blk.0.ffn_norm": [8], "blk.0.ffn_gate": [8, 8],
              "blk.0.ffn_up": [8, 8], "blk.0.ffn_down": [8, 8]}
    if architecture == "gpt2":
        for key in ("attention.head_count_kv", "attention.layer_norm_rms_epsilon", "rope.freq_base"):
            del numbers[key]
        numbers["attention.layer_norm_epsilon"] = 1e-5
        for part in ("q", "k", "v"):
            del shapes[f"blk.0.attn_{part}"]
        del shapes["blk.0.ffn_gate"]
        shapes |= {"position_embd": [8, 64], "blk.0.attn_qkv": [8, 24]}
    elif architecture == "gemma3":
        numbers["attention.sliding_window"] = 16
        shapes |= {"blk.0.attn_q_norm": [4], "blk.0.attn_k_norm": [4], "blk.0.post_attention_norm": [8], "blk.0.post_ffw_norm": [8]}
    else:
        shapes["rope_freqs"] = [2]
    metadata = {"general.architecture": architecture, **{f"{architecture}.{k}": v for k, v in numbers.items()}, **tokenizer}
    shapes = {f"{name}.weight": shape for name, shape in shapes.items()}
    if architecture == "gpt2":
        shapes |= {name.replace(".weight", ".bias"): shape[-1:] for name, shape in shapes.items() if "_embd" not in name}
    infos, data = b"", b""
    for name, shape in shapes.items():
        size = 4 * (shape[0] * shape[1] if len(shape) == 2 else shape[0])
        infos += gguf_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        values = struct.pack("<ff", 1, 8) if name == "rope_freqs.weight" else bytes(size)
        data += values + bytes(-size % 32)
    header = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(metadata))
    header += b"".join(gguf_text(key) + gguf_value(value) for key, value in metadata.items()) + infos
    return header + bytes(-len(header) % 32) + data


def gguf_models():
    ids = {"tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.chat_template": "{{ messages }}"}
    byte_level = {
        "tokenizer.ggml.model": "gpt2", **ids, "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.tokens": ["a", "<s>", "</s>", "b", "ab", "\u0120", "\u0120a"], "tokenizer.ggml.token_type": [1, 3, 3, 1, 1, 1, 1],
        "tokenizer.ggml.merges": ["a b", "\u0120 a"]}
    yield "llama", gguf_model("llama", byte_level | {"tokenizer.ggml.pre": "llama-bpe"})
    yield "gpt2", gguf_model("gpt2", byte_level | {"tokenizer.ggml.pre": "gpt-2"})
    yield "gemma3", gguf_model("gemma3", {
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default", **ids, "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "<0x41>", "\u2581", "a", "\u2581a", "  ", "[PAD8]"],
        "tokenizer.ggml.scores": [0.0, 0.0, 0.0, 0.0, -3.0, -2.0, -1.0, 0.0, 0.0],
        "tokenizer.ggml.token_type": [2, 3, 3, 6, 1, 1, 1, 4, 5], "tokenizer.ggml.add_space_prefix": False})


def main():
    out = pathlib.Path(sys.argv[1])
    shared = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    counts = {}

    def add(target, name, data):
        if not data:
            return
        folder = out / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / re.sub(r"[^\w.-]", "_", name)).write_bytes(data)
        counts[target] = counts.get(target, 0) + 1

    def add_files(target, base, pattern, shrink=None):
        for path in sorted(base.glob(pattern)):
            data = path.read_bytes() if small(path) else shrink(path) if shrink and path.is_file() else None
            add(target, str(path.relative_to(base)), data)

    for target in sorted(p.name for p in (ROOT / "tests/fuzz/seeds").iterdir()):
        add_files(target, ROOT / "tests/fuzz/seeds" / target, "*")
    golden = ROOT / "tests/format/golden"
    add_files("gguf", golden, "*.gguf")
    for name, data in gguf_models():
        add("gguf", name, data)
    add_files("onnx", golden, "*.onnx")
    for folder in sorted((ROOT / "tests" / "golden" / "packed").iterdir()):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        add("packed", folder.name, json.dumps(config).encode() + b"\n" + (folder / "model.safetensors").read_bytes())
    add_files("safetensors", golden, "*.safetensors")
    add_files("tokenizer_json", ROOT / "tests/text/golden/small", "*.json")
    add_files("sentencepiece", ROOT / "tests/text/golden/small", "*.model")
    for number, source in enumerate(json.loads((ROOT / "tests/chat/golden/constructs.json").read_text(encoding="utf-8"))["templates"]):
        add("chat_template", f"construct_{number}.jinja", source.encode())
    add_files("pipeline", ROOT, "pipelines/*.yaml")
    add_files("task", ROOT / "tests/golden/tasks", "*.yaml")
    add_files("pipeline", ROOT, "configs/*/*.yaml")
    if shared and shared.is_dir():
        add_files("chat_template", shared, "**/*.jinja")
        add_files("config", shared, "**/*config.json")
        add_files("tokenizer_json", shared, "**/tokenizer.json", shrunk_tokenizer)
        add_files("sentencepiece", shared, "babyllama-tok105/*.model", shrunk_sentencepiece)
        add_files("sentencepiece", shared, "tokenizer-llama2/*.model", shrunk_sentencepiece)
        add_files("safetensors", shared, "**/*.safetensors", shrunk_safetensors)
        add_files("gguf", shared, "**/*.gguf")
    print("seeds: " + ", ".join(f"{target} {count}" for target, count in sorted(counts.items())))


main()
