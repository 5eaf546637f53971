# needs: numpy safetensors tokenizers
"""Our fp32 logits against an independent fp64 implementation, and against transformers where it is installed."""
import tempfile
from pathlib import Path

import numpy as np

from common import *

SCALING = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}


def transformers_logits(folder, ids):
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError:
        return None
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def compare(name, folder, ids):
    ours = our_logits(folder, ids)
    expect(f"{name}: logits, NumPy fp64", float(np.abs(ours - numpy_llama(folder, ids)).max()), 0.0, 1e-4)
    reference = transformers_logits(folder, ids)
    if reference is None:
        print(f"note: {name}: transformers is not installed (scripts/setup --transformers); that comparison is left out")
    else:
        expect(f"{name}: logits, transformers", float(np.abs(ours - reference).max()), 0.0, 1e-4)


with tempfile.TemporaryDirectory() as work:
    random = np.random.default_rng(1)
    for name, options in {"tied": {}, "untied": {"tied": False}, "llama3 scaling": {"scaling": SCALING, "kv_heads": 1}}.items():
        folder = make_llama(Path(work) / name.replace(" ", "-"), **options)
        compare(name, folder, random.integers(0, 384, 96).tolist())
    for relative, vocabulary in (("stories260K/hf", 512), ("babyllama-tok105/hf", 105), ("novels-7m/hf", 4096)):
        folder = real(relative)
        if folder:
            compare(relative, folder, random.integers(3, vocabulary, 200).tolist())
finish()
