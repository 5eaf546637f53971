"""Makes the golden files beside it: an independent NumPy forward (float64) of the real models.

    python make_golden.py DATA

DATA holds stories260K, novels-7m, tinystories, english-novels-100 (see their READMEs for the checksums and for the values that
this script asserts before it writes anything). Needs numpy, safetensors, tokenizers, ml_dtypes.
"""
import hashlib
import json
import pathlib
import struct
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent


def read_safetensors(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    out = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        begin, end = info["data_offsets"]
        data = raw[8 + size + begin : 8 + size + end]
        if info["dtype"] == "BF16":
            values = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(data, "<f4")
        out[name] = values.reshape(info["shape"]).astype(np.float64)
    return out


class Llama:
    def __init__(self, folder):
        self.c = json.loads((folder / "config.json").read_text())
        self.w = read_safetensors(folder / "model.safetensors")

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.c["rms_norm_eps"]) * self.w[name]

    def rope(self, x):  # [T, heads, D], pair by pair with complex numbers
        half = x.shape[-1] // 2
        frequency = self.c["rope_theta"] ** (-np.arange(half) / half)
        turn = np.exp(1j * np.arange(x.shape[0])[:, None] * frequency)[:, None, :]
        y = (x[..., :half] + 1j * x[..., half:]) * turn
        return np.concatenate([y.real, y.imag], -1)

    def logits(self, ids):
        c, w = self.c, self.w
        t, heads, groups, d = len(ids), c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        x = w["model.embed_tokens.weight"][ids]
        hidden_future = np.triu(np.ones((t, t), bool), 1)
        for i in range(c["num_hidden_layers"]):
            p = f"model.layers.{i}."
            h = self.norm(x, p + "input_layernorm.weight")
            q = self.rope((h @ w[p + "self_attn.q_proj.weight"].T).reshape(t, heads, d))
            k = self.rope((h @ w[p + "self_attn.k_proj.weight"].T).reshape(t, groups, d))
            v = (h @ w[p + "self_attn.v_proj.weight"].T).reshape(t, groups, d)
            mixed = np.empty((t, heads, d))
            for a in range(heads):
                g = a * groups // heads
                s = q[:, a] @ k[:, g].T / np.sqrt(d)
                s[hidden_future] = -np.inf
                s = np.exp(s - s.max(-1, keepdims=True))
                mixed[:, a] = (s / s.sum(-1, keepdims=True)) @ v[:, g]
            x = x + mixed.reshape(t, heads * d) @ w[p + "self_attn.o_proj.weight"].T
            h = self.norm(x, p + "post_attention_layernorm.weight")
            gate = h @ w[p + "mlp.gate_proj.weight"].T
            up = h @ w[p + "mlp.up_proj.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ w[p + "mlp.down_proj.weight"].T
        head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
        return self.norm(x, "model.norm.weight") @ head.T

    def nll_sum(self, ids):
        z = self.logits(ids[:-1])
        m = z.max(-1)
        return float((m + np.log(np.exp(z - m[:, None]).sum(-1)) - z[np.arange(len(ids) - 1), ids[1:]]).sum())


def read_tok512(path):
    raw = path.read_bytes()[4:]
    pieces, scores = [], []
    while raw:
        score, size = struct.unpack("<fI", raw[:8])
        pieces.append(raw[8 : 8 + size])
        scores.append(score)
        raw = raw[8 + size :]
    return pieces, scores


def encode(text, pieces, scores):  # llama2.c's bpe_encode: characters, then the best-scoring pair first
    index = {p: i for i, p in reversed(list(enumerate(pieces)))}
    ids = [index[b" "]] if text else []
    for ch in text:
        b = ch.encode()
        ids += [index[b]] if b in index else [x + 3 for x in b]
    while True:
        best, where = -1e10, -1
        for i in range(len(ids) - 1):
            j = index.get(pieces[ids[i]] + pieces[ids[i + 1]])
            if j is not None and scores[j] > best:
                best, where, new = scores[j], i, j
        if where < 0:
            return ids
        ids[where : where + 2] = [new]


def stories(data):
    text = (data / "tinystories/tinystories_sample_2MiB.txt").read_text(encoding="utf-8", errors="replace")
    return [s.strip() for s in text.split("<|endoftext|>")]


def stories260k(data, full):
    model = Llama(data / "stories260K/hf")
    pieces, scores = read_tok512(data / "stories260K/tok512.bin")
    first = model.logits([1, 403, 407, 261, 378, 383, 286, 261, 280, 294])[-1]
    assert first.argmax() == 395 and abs(first.max() - 12.582746) < 1e-5, (first.argmax(), first.max())
    count = 300 if full else 12
    rows, total, predictions = [], 0.0, 0
    for story in stories(data)[:count]:
        ids = [1] + encode(story, pieces, scores)
        ids = ids[:512]
        rows.append(ids)
        total += model.nll_sum(ids)
        predictions += len(ids) - 1
    print("stories260K", count, "stories:", predictions, "predictions, NLL", total / predictions)
    if full:
        return
    (HERE / "stories260k.json").write_text(json.dumps({
        "logits_ids": [1, 403, 407, 261, 378, 383, 286, 261, 280, 294],
        "logits": [round(float(v), 7) for v in first],
        "ids": rows, "predictions": predictions, "nll": total / predictions}) + "\n")


def novels(data):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(data / "novels-7m/hf/tokenizer.json"))
    text = (data / "english-novels-100/Bennet_Helen_1910.txt").read_bytes().decode("utf-8").replace("\r\n", "\n")
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    digest = hashlib.sha256(np.array(ids, "<u4").tobytes()).hexdigest()
    assert digest == "31a437c0bc7bcfd243a22073e25100a98cefd765117b253f22c191256b081ad2", digest
    (HERE / "helen.u16").write_bytes(np.array(ids[:20480], "<u2").tobytes())
    model = Llama(data / "novels-7m/hf")
    z = model.logits([560, 2741, 2164, 664, 266, 650, 800, 14, 283])[-1]
    print("novels-7m", [(int(i), round(float(z[i]), 5)) for i in np.argsort(-z)[:5]])


def babyllama(data):
    model = Llama(data / "babyllama-tok105/hf")
    z = model.logits([1, 3, 34, 9, 22, 4, 3, 18, 20, 7, 9, 3, 5, 3])[-1]
    print("babyllama", int(z.argmax()), z.max())
    lines = (data / "babyllama-tok105/tok105.vocab").read_text().split("\n")
    index = {line.split("\t")[0]: i for i, line in enumerate(lines) if line}
    total = n = 0
    for story in stories(data)[:300]:
        ids = ([1, index["▁"]] + [index.get("▁" if c == " " else c, 0) for c in story])[:256]
        total += model.nll_sum(ids)
        n += len(ids) - 1
    print("babyllama", n, total / n)


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1])
    if "--check" in sys.argv:  # minutes: the READMEs' whole figures
        stories260k(root, True)
        babyllama(root)
    else:
        stories260k(root, False)
        novels(root)
