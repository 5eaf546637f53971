"""Every tokenizer of the material as the `tokenizers` wheel has it, beside the file that frugal reads. Vocabularies that are in no
tokenizer.json are brought to one here as transformers' converters do, independently of frugal."""
import base64
import json

from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
NAMED = ["begin_of_text", "end_of_text", "reserved_special_token_0", "reserved_special_token_1", "finetune_right_pad_id", "reserved_special_token_2",
         "start_header_id", "end_header_id", "eom_id", "eot_id", "python_tag"]
LLAMA3_NAMES = NAMED + [f"reserved_special_token_{i}" for i in range(3, 259 - len(NAMED))]
CL100K = {"<|endoftext|>": 100257, "<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260, "<|endofprompt|>": 100276}
TIKTOKEN = {"tokenizer-llama3/tokenizer.model": (LLAMA3, {f"<|{name}|>": 128000 + i for i, name in enumerate(LLAMA3_NAMES)}),
            "tokenizer-openai/cl100k_base.tiktoken": (LLAMA3, CL100K),
            "tokenizer-openai/o200k_base.tiktoken": (GPT4O, {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}),
            "tokenizer-openai/r50k_base.tiktoken": (GPT2, {"<|endoftext|>": 50256}),
            "tokenizer-openai/p50k_base.tiktoken": (GPT2, {"<|endoftext|>": 50256})}


def alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(rest)}


def byte_level(model, pattern, normalizer=None):
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def tiktoken(path, pattern, special):
    letters = alphabet()
    ranks = {base64.b64decode(word): int(rank) for word, rank in (line.split() for line in path.read_bytes().splitlines() if line)}
    def text(data):
        return "".join(letters[byte] for byte in data)
    merges = []
    for word in sorted(ranks, key=ranks.get):
        splits = [(word[:i], word[i:]) for i in range(1, len(word)) if word[:i] in ranks and word[i:] in ranks]
        merges += [(text(a), text(b)) for a, b in sorted(splits, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))]
    tokenizer = byte_level(models.BPE({text(word): rank for word, rank in ranks.items()}, merges, ignore_merges=True), pattern)
    # The wheel numbers tokens as they are added: a file of its own form gives them their ids.
    root = json.loads(tokenizer.to_str())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    root["added_tokens"] = [{"id": index, "content": content, **flags} for content, index in special.items()]
    root["model"]["vocab"] |= special
    return Tokenizer.from_str(json.dumps(root))


def qwen(folder):
    merges = [tuple(line.split(" ")) for line in (folder / "merges.txt").read_text("utf-8").split("\n") if line and not line.startswith("#version")]
    tokenizer = byte_level(models.BPE(json.loads((folder / "vocab.json").read_text("utf-8")), merges), QWEN2, normalizers.NFC())
    added = json.loads((folder / "qwen2.5_added_tokens.json").read_text("utf-8"))
    tokenizer.add_special_tokens([token for token, _ in sorted(added.items(), key=lambda item: item[1])])
    return tokenizer


def sentencepiece(path):
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(path.read_bytes())
    pieces = {piece.piece: index for index, piece in enumerate(proto.pieces)}
    normal = {piece.piece: piece.score for piece in proto.pieces if piece.type == piece.NORMAL}
    merges = []
    for word, score in normal.items():
        merges += [(score, word[:i], word[i:]) for i in range(1, len(word)) if word[:i] in normal and word[i:] in normal]
    merges.sort(key=lambda merge: (-merge[0], pieces[merge[1] + merge[2]], -len(merge[1])))
    tokenizer = Tokenizer(models.BPE(pieces, [(left, right) for _, left, right in merges], unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=proto.trainer_spec.byte_fallback))
    tidy = [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" +"), " ")]
    tokenizer.normalizer = normalizers.Sequence((tidy if proto.normalizer_spec.remove_extra_whitespaces else []) +
                                                [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens([AddedToken(piece.piece, normalized=False, special=True) for piece in proto.pieces
                                  if piece.type in (piece.CONTROL, piece.UNKNOWN)])
    return tokenizer


def unigram(path):
    """A SentencePiece unigram model as XLM-RoBERTa's converter writes it."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(path.read_bytes())
    tokenizer = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=proto.trainer_spec.unk_id,
                                         byte_fallback=proto.trainer_spec.byte_fallback))
    table = proto.normalizer_spec.precompiled_charsmap
    tokenizer.normalizer = normalizers.Sequence(([normalizers.Precompiled(table)] if table else []) + [normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def published(data):
    """(name, how to make the wheel's tokenizer, what frugal reads: files by the names that they are to have)."""
    for name in ("novels-7m/hf/tokenizer.json", "tokenizer-gpt2/tokenizer.json"):
        yield name, (lambda path=data / name: Tokenizer.from_file(str(path))), {"tokenizer.json": data / name}
    folder = data / "tokenizer-qwen2.5"
    yield "tokenizer-qwen2.5", (lambda: qwen(folder)), {
        "vocab.json": folder / "vocab.json", "merges.txt": folder / "merges.txt", "added_tokens.json": folder / "qwen2.5_added_tokens.json",
        "tokenizer_config.json": folder / "qwen2-1.5b-instruct/tokenizer_config.json"}
    for name, (pattern, special) in TIKTOKEN.items():
        yield name, (lambda path=data / name, pattern=pattern, special=special: tiktoken(path, pattern, special)), {"tokenizer.model": data / name}
    models_ = [data / "tokenizer-llama2/tokenizer.model", data / "babyllama-tok105/tok105.model", *sorted((data / "tokenizer-mistral").glob("*.model*"))]
    seen = set()
    for path in models_:
        content = path.read_bytes() if path.exists() else str(path)
        if content in seen:  # Mistral published some of them under two names
            continue
        seen.add(content)
        yield str(path.relative_to(data)), (lambda path=path: sentencepiece(path)), {"tokenizer.model": path}
