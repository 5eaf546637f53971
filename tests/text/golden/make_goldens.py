#!/usr/bin/env python3
"""Makes the goldens beside this file with Hugging Face tokenizers and SentencePiece.

    .oracles/bin/python tests/text/golden/make_goldens.py FOLDER_OF_REAL_MATERIAL

small/*.json are tokenizers made here, one for each way to write a component; goldens.json holds ids and texts for them
and for the real tokenizers.
"""
import json
import pathlib
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
DATA = pathlib.Path(sys.argv[1])

TEXTS = [
    "", " ", "  ", "a", " a", "a ", "\n", "\n\n", "\t", "\r\n", " \n \n", "a\n\nb", "Hello world", " Hello  world ",
    "Hello, y'all! How's 'it' GOING? I'LL we'Re THEY'VE", "3.14159 1234567890 12 ½ ² Ⅷ ٣٤", "naïve café e\u0301 \u212b ﬁ",
    "日本語のテキスト 漢字", "नमस्ते दुनिया", "مرحبا بالعالم", "שלום", "👩‍👩‍👧‍👦🏳️‍🌈 🙂🙃", "\u200b\u200d\ufeff\u00a0\u2003\u3000x\u180ey",
    "x = {'a': [1, 2], \"b\": None}  # comment\n\tif x:\n\t\treturn -1\n", "the_snake_case camelCase HTTPServer", "....!!!???---",
    "\x00\x01\x7f", "a\u0300\u0301b", "\U0001F600\U0010FFFF", "<s>", "</s>", "<unk>", "<|endoftext|>", "a <s> b</s>",
    "<|endoftext|>hello <|im_start|>user\nhi<|im_end|>\n", "[INST] hi [/INST]", "[REF]x[/REF]", "▁▁ a▁b", "<0x0A><0x41>",
    "Mr. O'Neil's well-known \u201cquote\u201d \u2014 he said\u2026", "ſ's K'S it'ſ", "\u2028\u2029\x85x", " " * 40 + "x" + " " * 17,
    "a" * 70, "end of text   \n   ", "x\u0323\u0307", "가각힣 ㄱㅏ 각",
]

CORPUS = [
    "the quick brown fox jumps over the lazy dog and the cat sat on the mat while the rain fell on the plain",
    "it's a test of the tokenizer, isn't it? we'll see: 123 456 7890 and 2024", "naïve café déjà vu — “quoted” text…",
    "hello world hello there hello again world of words and wonder", "return x + y  # sum\n\tif a == b:\n\t\tpass",
] * 4


def spm_like(normalizer, pre_tokenizer, decoder, **options):
    """A character-level BPE with byte fallback, as converters write Llama 2 and Mistral."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    learned = json.loads(trained.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    pieces += [p for p, _ in sorted(learned["vocab"].items(), key=lambda item: item[1])]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learned["merges"]]
    model = models.BPE({p: i for i, p in enumerate(pieces)}, merges, unk_token="<unk>", fuse_unk=True, **options)
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B", special_tokens=[("<s>", 1), ("</s>", 2)])
    return tokenizer


def byte_level(pre_tokenizer, normalizer=None, added=(), **options):
    trained = Tokenizer(models.BPE(**options))
    if normalizer is not None:
        trained.normalizer = normalizer
    trained.pre_tokenizer = pre_tokenizer
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False, special_tokens=["<|endoftext|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    trained.train_from_iterator(CORPUS, trainer)
    trained.add_tokens(list(added))
    trained.post_processor = processors.ByteLevel(trim_offsets=False)
    return trained


def unigram(normalizer, **options):
    """A unigram model behind the normalizer of T5's and ALBERT's files."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=150, show_progress=False, unk_token="<unk>", special_tokens=["<unk>", "</s>"]))
    vocabulary = [tuple(piece) for piece in json.loads(trained.to_str())["model"]["vocab"]]
    if options.get("byte_fallback"):
        vocabulary += [(f"<0x{i:02X}>", -20.0) for i in range(256)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, **options))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B", special_tokens=[("</s>", 1)])
    return tokenizer


def of_words(normalizer, pre_tokenizer):
    tokenizer = spm_like(normalizer, pre_tokenizer, decoders.Fuse(), byte_fallback=True)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
    return tokenizer


def small_tokenizers():
    legacy = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                decoders.Strip(content=" ", left=1, right=0)])
    prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    yield "spm_legacy", spm_like(prepend, None, legacy, byte_fallback=True)
    yield "spm_without_bytes", spm_like(prepend, None, legacy, byte_fallback=False)
    for scheme in ("always", "first", "never"):
        yield f"metaspace_{scheme}", spm_like(
            None, pre_tokenizers.Metaspace(prepend_scheme=scheme, split=scheme != "first"),
            decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme)]), byte_fallback=True)
    yield "gemma_style", spm_like(normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
                                  decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
                                  byte_fallback=True)
    yield "digits_byte_level", byte_level(pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]))
    yield "byte_level_prefix_space", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))
    words = Regex(r"\p{N}{1,3}|[^\s\p{N}]+|\s+")
    for behavior in ("isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"):
        yield f"split_{behavior}", byte_level(pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(r"\s"), behavior), pre_tokenizers.Split(words, "isolated", invert=False),
             pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))
    yield "added_tokens", byte_level(
        pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFC(),
        [AddedToken("<left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True, normalized=False),
         AddedToken("<both>", lstrip=True, rstrip=True, normalized=True), AddedToken("word", single_word=True),
         AddedToken("<|end", normalized=False), AddedToken("é", normalized=True), AddedToken("  ", normalized=False)])
    yield "nfkc_ignore_merges", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFKC(),
                                           ignore_merges=True)
    yield "unigram", unigram(normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]))
    yield "unigram_bytes", unigram(normalizers.Strip(), byte_fallback=True)
    yield "words_whitespace", of_words(normalizers.Lowercase(), pre_tokenizers.Whitespace())
    yield "words_whitespace_split", of_words(normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]), pre_tokenizers.WhitespaceSplit())
    yield "words_punctuation", of_words(None, pre_tokenizers.Punctuation("merged_with_previous"))
    yield "words_bert", of_words(normalizers.Strip(left=True, right=False), pre_tokenizers.BertPreTokenizer())
    yield "words_delimiter", of_words(None, pre_tokenizers.CharDelimiterSplit("-"))


# What characters become, in hexadecimal: a ligature, a power, an ellipsis, an accent behind its letter, and nothing.
RULES = ["FB01\t66 69", "B2\t32", "2026\t2E 2E 2E", "65 301\tE9", "200D\t", "A0\t20", "3000\t20"]


def sentencepiece_unigram(path):
    """A SentencePiece unigram model with a table of characters."""
    with tempfile.TemporaryDirectory() as folder:
        rules, corpus = pathlib.Path(folder) / "rules.tsv", pathlib.Path(folder) / "corpus.txt"
        rules.write_text("".join(f"{rule}\n" for rule in RULES), "utf-8")
        corpus.write_text("\n".join(CORPUS), "utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=f"{folder}/unigram", vocab_size=330, model_type="unigram", byte_fallback=True, num_threads=1,
            normalization_rule_tsv=str(rules), user_defined_symbols=["<sep>"], minloglevel=2)
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString((pathlib.Path(folder) / "unigram.model").read_bytes())
        for field in ("input", "model_prefix", "normalization_rule_tsv"):  # paths of this machine
            for spec in (proto.trainer_spec, proto.normalizer_spec):
                if field in spec.DESCRIPTOR.fields_by_name:
                    spec.ClearField(field)
        path.write_bytes(proto.SerializeToString(deterministic=True))


ADDED_TEXTS = ["a <left> b <right> c <both> d", "word words sword word, a_word word2 (word)", "<left><right>  <both>   x",
               "e\u0301 é", "  <|endoftext|>  <|end>", "x  <right>   \n <left>\u00a0 y", "wordé éword"]


def case(tokenizer, text, special):
    ids = tokenizer.encode(text, add_special_tokens=special).ids
    return {"text": text, "special": special, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)}


def qwen25():
    folder = DATA / "tokenizer-qwen2.5"
    merges = [tuple(line.split(" ")) for line in (folder / "merges.txt").read_text("utf-8").split("\n")
              if line and not line.startswith("#version")]
    tokenizer = Tokenizer(models.BPE(json.loads((folder / "vocab.json").read_text("utf-8")), merges))
    tokenizer.normalizer = normalizers.NFC()
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    added = json.loads((folder / "qwen2.5_added_tokens.json").read_text("utf-8"))
    tokenizer.add_special_tokens([t for t, _ in sorted(added.items(), key=lambda item: item[1])])
    return tokenizer


def main():
    goldens = {}
    (HERE / "small").mkdir(exist_ok=True)
    for name, tokenizer in small_tokenizers():
        path = HERE / "small" / f"{name}.json"
        path.write_text(tokenizer.to_str(), "utf-8")
        texts = TEXTS + (ADDED_TEXTS if name == "added_tokens" else [])
        goldens[f"small/{name}.json"] = [case(tokenizer, t, s) for t in texts for s in (False, True)]
    path = HERE / "small/sentencepiece_unigram.model"
    sentencepiece_unigram(path)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    # SentencePiece itself does not look for control pieces in texts.
    texts = [t for t in TEXTS if not any(mark in t for mark in ("<s>", "</s>", "<unk>"))] + ["a<sep>b <sep> c"]
    goldens["small/sentencepiece_unigram.model"] = [{"text": t, "special": False, "ids": processor.encode(t)} for t in texts]
    for name in ("novels-7m/hf/tokenizer.json", "tokenizer-gpt2/tokenizer.json"):
        tokenizer = Tokenizer.from_file(str(DATA / name))
        goldens[name] = [case(tokenizer, t, False) for t in TEXTS]
    tokenizer = qwen25()
    goldens["tokenizer-qwen2.5"] = [case(tokenizer, t, False) for t in TEXTS]
    # SentencePiece itself does not look for control pieces in texts.
    models_ = ["tokenizer-llama2/tokenizer.model", "babyllama-tok105/tok105.model"]
    models_ += sorted(str(p.relative_to(DATA)) for p in (DATA / "tokenizer-mistral").glob("*.model*"))
    for name in models_:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(DATA / name))
        goldens[name] = [{"text": t, "special": False, "ids": processor.encode(t)} for t in TEXTS]
    (HERE / "goldens.json").write_text(json.dumps(goldens, ensure_ascii=True, separators=(",", ":")) + "\n", "utf-8")


main()
