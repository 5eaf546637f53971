"""GPTQ and SparseGPT as published, in plain torch of our own writing; the last line printed is a JSON object of what it cost.

usage: PYTHON published.py gptq MODEL IDS.json OUT GROUP | sparsegpt MODEL IDS.json OUT PATTERN

Both are oracles for quality and for the time that the plain algorithm takes: one forward of a layer gathers H of every matrix, each matrix is
swept by columns in blocks of 128 with a damping of 1%, and a second forward with the new weights goes on to the next layer. One thread.

GPTQ (Frantar et al. 2022): symmetric 4 bits, columns in their own order, a group's scale by its largest weight when its first column is
reached, from the weights as corrected by then. (The authors' program takes a group that starts inside a block of 128 as it was at the block's
begin; the paper has it as here.) SparseGPT (Frantar and Alistarh 2023): masks over all rows of a block, with its threshold `<=`, which prunes
a weight too many a block.

MODEL: a Hugging Face folder of a Llama; IDS.json: calibration windows as lists of token ids; OUT: a folder of plain fp32 weights.
"""
import json
import resource
import sys
import time

begin_wall, begin_cpu = time.time(), time.process_time()
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "runtime")]
import common  # noqa: E402
import peer_formats as formats  # noqa: E402

torch.set_num_threads(1)
STAGES = {"import": {"wall": time.time() - begin_wall, "cpu": time.process_time() - begin_cpu}}
BLOCK, DAMPING, LEVELS = 128, 0.01, 16


class Moment:
    """H of a matrix's input, as gathered sample by sample."""

    def __init__(self, columns):
        self.h, self.samples = torch.zeros(columns, columns), 0

    def add(self, x):
        self.h *= self.samples / (self.samples + 1)
        self.samples += 1
        x = x.t() * (2 / self.samples) ** 0.5
        self.h += x @ x.t()


def inverse_factor(w, h):
    """U with (H + damping)^-1 = U^T U, by two Cholesky factorizations and an inverse; weights of dead inputs become zero."""
    dead = h.diagonal() == 0
    h.diagonal()[dead] = 1
    w[:, dead] = 0
    h = h + DAMPING * h.diagonal().mean() * torch.eye(len(h))
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)


def gptq(w, h, group):
    """`w` [rows, columns] rounded in place."""
    u = inverse_factor(w, h)
    for begin in range(0, w.shape[1], BLOCK):
        end = min(begin + BLOCK, w.shape[1])
        block, inner = w[:, begin:end].clone(), u[begin:end, begin:end]
        rounded, errors = torch.zeros_like(block), torch.zeros_like(block)
        for i in range(end - begin):
            if (begin + i) % group == 0:  # a group that is wider than a block is met in several
                members = torch.cat([block[:, i:i + group], w[:, end:begin + i + group]], 1)
                scale = 2 * members.abs().amax(1) / (LEVELS - 1)
                scale[scale == 0] = 1
            column = block[:, i]
            code = torch.clamp(torch.round(column / scale), -LEVELS // 2, LEVELS // 2 - 1)
            rounded[:, i] = scale * code
            errors[:, i] = (column - rounded[:, i]) / inner[i, i]
            block[:, i:] -= errors[:, i:i + 1] * inner[i:i + 1, i:]
        w[:, begin:end] = rounded
        w[:, end:] -= errors @ u[begin:end, end:]


def sparsegpt(w, h, kept, group, share):
    """`w` [rows, columns] swept in place: `kept` of every `group` columns, or a `share` of zeros where group is 0."""
    u = inverse_factor(w, h)
    for begin in range(0, w.shape[1], BLOCK):
        end = min(begin + BLOCK, w.shape[1])
        block, inner = w[:, begin:end].clone(), u[begin:end, begin:end]
        errors = torch.zeros_like(block)
        cut = torch.zeros_like(block, dtype=torch.bool)
        if not group:
            score = block ** 2 / inner.diagonal() ** 2
            cut = score <= score.flatten().sort()[0][int(score.numel() * share)]
        for i in range(end - begin):
            if group and i % group == 0:
                score = block[:, i:i + group] ** 2 / inner.diagonal()[i:i + group] ** 2
                cut.scatter_(1, i + score.topk(group - kept, dim=1, largest=False)[1], True)
            column = block[:, i].clone()
            block[:, i] = torch.where(cut[:, i], 0, column)
            errors[:, i] = (column - block[:, i]) / inner[i, i]
            block[:, i + 1:] -= errors[:, i:i + 1] * inner[i:i + 1, i + 1:]
        w[:, begin:end] = block
        w[:, end:] -= errors @ u[begin:end, end:]


class Llama:
    def __init__(self, folder):
        self.config = json.load(open(Path(folder) / "config.json"))
        self.weights = {name: torch.from_numpy(np.array(value)) for name, value in common.load_weights(folder).items()}
        self.heads, self.kv, self.size = (self.config[k] for k in ("num_attention_heads", "num_key_value_heads", "head_dim"))

    def tables(self, length):
        angle = np.outer(np.arange(length), common.inverse_frequencies(self.config))
        angle = torch.from_numpy(np.concatenate([angle, angle], 1))
        return angle.cos().float(), angle.sin().float()

    def norm(self, x, name):
        return x * (x.square().mean(-1, keepdim=True) + self.config["rms_norm_eps"]).rsqrt() * self.weights[name]

    def layer(self, number, x, tables, tap=lambda matrix, x: None):
        """x [tokens, width]; `tap` sees every matrix's name and input."""
        prefix, (cosine, sine), half = f"model.layers.{number}.", tables, self.size // 2

        def linear(matrix, value):
            tap(f"{prefix}{matrix}_proj.weight", value)
            return value @ self.weights[f"{prefix}{matrix}_proj.weight"].t()

        def rotate(value):  # [heads, tokens, size]
            return value * cosine + torch.cat([-value[..., half:], value[..., :half]], -1) * sine

        h = self.norm(x, prefix + "input_layernorm.weight")
        q, k, v = (linear(f"self_attn.{m}", h).view(len(x), -1, self.size).transpose(0, 1) for m in "qkv")
        k, v = (value.repeat_interleave(self.heads // self.kv, 0) for value in (rotate(k), v))
        mixed = torch.nn.functional.scaled_dot_product_attention(rotate(q)[None], k[None], v[None], is_causal=True)[0]
        x = x + linear("self_attn.o", mixed.transpose(0, 1).reshape(len(x), -1))
        h = self.norm(x, prefix + "post_attention_layernorm.weight")
        return x + linear("mlp.down", torch.nn.functional.silu(linear("mlp.gate", h)) * linear("mlp.up", h))


@torch.no_grad()
def walk(folder, ids, solve):
    """The model's weights after solve(weights, H) of every decoder matrix, layer by layer; and the names of those matrices."""
    model, matrices = Llama(folder), []
    samples, tables = list(model.weights["model.embed_tokens.weight"][torch.tensor(ids)]), model.tables(len(ids[0]))
    for number in range(model.config["num_hidden_layers"]):
        moments = {}

        def tap(matrix, x):
            moments.setdefault(matrix, Moment(x.shape[1])).add(x)
        for x in samples:
            model.layer(number, x, tables, tap)
        for matrix, moment in moments.items():
            solve(model.weights[matrix], moment.h)
        matrices += moments
        samples = [model.layer(number, x, tables) for x in samples]
    return model.weights, matrices


def main():
    method, folder, ids, out, setting = sys.argv[1:]
    if method == "gptq":
        weights, matrices = walk(folder, json.load(open(ids)), lambda w, h: gptq(w, h, int(setting)))
        count = sum(weights[name].numel() for name in matrices)
        facts = {"bytes": {"codes": count // 2, "fp32 scales": 4 * (count // int(setting))}}
    else:
        kept, group = (int(n) for n in setting.split(":")) if ":" in setting else (0, 0)
        share = 0 if group else float(setting.rstrip("%")) / 100
        weights, matrices = walk(folder, json.load(open(ids)), lambda w, h: sparsegpt(w, h, kept, group, share))
        facts = {"zeros": sum(int((weights[name] == 0).sum()) for name in matrices) / sum(weights[name].numel() for name in matrices)}
    formats.write_plain({name: value.numpy() for name, value in weights.items()}, folder, Path(out))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"version": torch.__version__, "stages": STAGES, "wall": time.time() - begin_wall, "cpu": used.ru_utime + used.ru_stime,
                      "peak_bytes": used.ru_maxrss * 1024} | facts), flush=True)


if __name__ == "__main__":
    main()
