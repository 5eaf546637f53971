"""The quickstart with a few steps and few items: every pass and every kind of step is still in it."""
import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "pipelines" / "quickstart.yaml"


def short_quickstart():
    text = SOURCE.read_text()
    text = re.sub(r"steps: \d+", "steps: 6", text)
    text = re.sub(r"checkpoint_every: \d+", "checkpoint_every: 2", text)
    text = re.sub(r"warmup_steps: \d+", "warmup_steps: 1", text)
    text = re.sub(r"batch_sequences: \d+", "batch_sequences: 4", text)
    text = re.sub(r"windows: \d+", "windows: 4", text)
    text = text.replace("repeats: 14", "repeats: 2").replace("seconds_minimum: 0.15", "seconds_minimum: 0.01")
    text = text.replace("task: sentiment }", "task: sentiment, limit: 40 }").replace("limit: 100", "limit: 4")
    text = text.replace("held_out:    { builtin: storefront, split: test }", "held_out:    { builtin: storefront, split: test, limit: 40 }")
    text = text.replace("grid: [q8_0, q4_0, iq4_nl, q4_k]", "grid: [q4_0, q4_k]")
    return text.replace("../configs", str(SOURCE.parents[1] / "configs"))
