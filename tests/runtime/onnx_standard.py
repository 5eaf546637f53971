# needs: numpy onnx onnxruntime onnxruntime_genai safetensors tokenizers
"""ONNX folders of standard operators alone: the checker accepts all of them, shapes inferred, no node is of another domain than ai.onnx;
ONNX Runtime's logits of the whole text, of pieces and of padded batches equal frugal's, for every family of tests/golden/families in fp32
and for integer groups (against the decoded weights; products in fp32), and those of the onnx wheel's reference evaluator, which shares
nothing with ONNX Runtime; onnxruntime-genai writes the same greedy text."""
import importlib.util
import math
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import onnxruntime_genai as og
from onnx.reference import ReferenceEvaluator

from common import *
from genai_text import generate
from onnx_session import empty_past, run

TOLERANCE = 1e-4
STANDARD = ("--format", "onnx", "--operators", "standard", "--accuracy-level", "1")
# The 2, 3 and 5 bits that lie in 4 and 8, groups that are whole rows or no power of two.
GRIDS = ("int4", "int4:g64:asym", "int3:g16", "q3_k", "q4_0", "q5_0", "q6_k", "q8_0", "int8", "int8:asym", "int2:g64:asym", "int4:row:asym", "int4:g128")


def load_goldens():
    path = Path(__file__).resolve().parents[1] / "golden" / "families.py"
    spec = importlib.util.spec_from_file_location("golden_families", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")  # fp32, as genai_config.json says
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Reference:
    """The onnx wheel's evaluator, which computes each operator by its definition, with the methods of a session that run() needs."""

    class Value:
        def __init__(self, proto):
            self.name = proto.name
            self.shape = [dimension.dim_param or dimension.dim_value for dimension in proto.type.tensor_type.shape.dim]

    def __init__(self, path):
        self.model = onnx.load(str(path))
        self.evaluator = ReferenceEvaluator(self.model)

    def get_inputs(self):
        return [self.Value(proto) for proto in self.model.graph.input]

    def get_outputs(self):
        return [self.Value(proto) for proto in self.model.graph.output]

    def run(self, names, feeds):
        return self.evaluator.run(names, feeds)


def in_pieces(model, ids, lengths):
    """Logits of all tokens, read in pieces of these lengths and one by one behind them."""
    past, parts, begin = empty_past(model), [], 0
    for length in [*lengths, *[1] * (len(ids) - sum(lengths))]:
        found, past = run(model, ids[begin:begin + length], past)
        parts.append(found)
        begin += length
    return np.concatenate(parts)


def check_graph(name, folder):
    """The model's operators."""
    path = folder / "model.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path), load_external_data=False)
    domains = {node.domain for node in model.graph.node} | {opset.domain for opset in model.opset_import}
    expect_true(f"{name}: the checker accepts it, operators are ai.onnx's alone", domains == {""}, str(domains))
    expect(f"{name}: opset", model.opset_import[0].version, 23)
    return {node.op_type for node in model.graph.node}


def compare(name, folder, prompts, logits, long=math.inf):
    operators = check_graph(name, folder)
    runtime, reference = session(folder / "model.onnx"), Reference(folder / "model.onnx")
    worst = {"at once, ONNX Runtime": [], "in pieces, ONNX Runtime": [], "in pieces, reference evaluator": []}
    for ids, ours in zip(prompts, logits):
        worst["at once, ONNX Runtime"].append(np.abs(run(runtime, ids, empty_past(runtime))[0] - ours).max())
        if len(ids) > long:  # the graph chooses by the tokens so far
            continue
        worst["in pieces, ONNX Runtime"].append(np.abs(in_pieces(runtime, ids, [10, 5]) - ours).max())
        worst["in pieces, reference evaluator"].append(np.abs(in_pieces(reference, ids, [10, len(ids) - 11]) - ours).max())
    for how, differences in worst.items():
        expect(f"{name}: logits {how}", float(max(differences)), 0.0, TOLERANCE)
    return operators


def compare_padded(name, folder, prompts, logits, long):
    """Two texts in one batch, the shorter one padded: on the left while both are read, then a token each. Of a text within the first
    context, where "longrope" turns by the same factors whatever its length."""
    model = session(folder / "model.onnx")
    ids, ours = next((ids, ours) for ids, ours in zip(prompts, logits) if len(ids) <= long)
    lengths, width = (len(ids) - 1, len(ids) // 2), len(ids) - 1
    batch, mask = np.zeros((2, width), dtype=np.int64), np.zeros((2, width), dtype=np.int64)
    for row, length in enumerate(lengths):
        batch[row, width - length:], mask[row, width - length:] = ids[:length], 1
    names = [output.name for output in model.get_outputs()]
    past = {key: np.zeros((2, *value.shape[1:]), dtype=np.float32) for key, value in empty_past(model).items()}
    first = dict(zip(names, model.run(None, {"input_ids": batch, "attention_mask": mask, **past})))
    past = {key.replace("present", "past_key_values"): value for key, value in first.items() if key != "logits"}
    tokens = np.array([[ids[length]] for length in lengths], dtype=np.int64)
    second = dict(zip(names, model.run(None, {"input_ids": tokens, "attention_mask": np.pad(mask, ((0, 0), (0, 1)), constant_values=1), **past})))
    worst = max(max(float(np.abs(first["logits"][row, width - length:] - ours[:length]).max()), float(np.abs(second["logits"][row, 0] - ours[length]).max()))
                for row, length in enumerate(lengths))
    expect(f"{name}: logits of a padded batch", worst, 0.0, TOLERANCE)


def judge_family(goldens, family, work):
    golden = goldens.read(family)
    model, prompts = goldens.write_folder(golden, work / "model"), golden["prompts"]
    long = golden["config"].get("original_max_position_embeddings", math.inf)
    logits = [our_logits(model, ids) for ids in prompts]
    frugal("export", model, *STANDARD, "--out", work / "fp32")
    operators = compare(f"{family} fp32", work / "fp32", prompts, logits, long)
    capped = golden["config"].get("attn_logit_softcapping") is not None
    expect_true(f"{family}: attention is {'spelled out' if capped else 'one operator'}", ("Attention" in operators) != capped)
    compare_padded(f"{family} fp32", work / "fp32", prompts, logits, long)
    runtime = og.Model(str(work / "fp32"))
    for ids, expected in zip(prompts, golden["greedy"]):
        found = [int(i) for i in generate(runtime, ids, len(expected))[1]]
        expect_true(f"{family}: greedy ids, onnxruntime-genai", found == expected, str(found))
    frugal("quantize", model, "--grid", "int4:g32", "--method", "rtn", "--out", work / "int4")
    frugal("export", work / "int4", *STANDARD, "--out", work / "int4-onnx")
    frugal("export", work / "int4", "--format", "huggingface", "--out", work / "int4-plain")
    ours = [our_logits(work / "int4-plain", ids) for ids in prompts]
    operators = compare(f"{family} int4:g32", work / "int4-onnx", prompts, ours, long)
    expect_true(f"{family} int4:g32: weights are integers", "DequantizeLinear" in operators)


def judge_grids(work):
    ids = np.random.default_rng(5).integers(1, 384, 64).tolist()
    for name, options in {"tied": {}, "untied": {"tied": False, "context": 1 << 19}}.items():  # rotary tables stored, and computed
        model = make_llama(work / name, **options)
        for grid in GRIDS:
            stem = f"{name}-{grid}".replace(":", "-")
            quantized, out, plain = work / stem, work / f"{stem}-onnx", work / f"{stem}-plain"
            frugal("quantize", model, "--grid", grid, "--method", "rtn", "--out", quantized)
            frugal("export", quantized, *STANDARD, "--out", out)
            frugal("export", quantized, "--format", "huggingface", "--out", plain)
            compare(f"{name} {grid}", out, [ids], [our_logits(plain, ids)])
    quantized = work / "w8a8"
    frugal("quantize", work / "tied", "--grid", "int8:row", "--activations", "int8", "--method", "rtn", "--out", quantized)
    frugal("export", quantized, *STANDARD, "--out", work / "w8a8-onnx")
    expect_true("w8a8: integer products", "MatMulInteger" in check_graph("w8a8", work / "w8a8-onnx"))
    # Beyond four tokens a rounded input may meet the other code: onnx_runtime.py.
    model = session(work / "w8a8-onnx" / "model.onnx")
    found, _ = run(model, ids[:4], empty_past(model))
    expect("w8a8: logits", float(np.abs(found - our_logits(quantized, ids[:4])).max()), 0.0, TOLERANCE)
    for grid in ("q4_k", "iq4_nl", "q4_1", "nf4", "fp8", "mxfp4"):
        frugal("quantize", work / "tied", "--grid", grid, "--method", "rtn", "--out", work / grid)
        done = frugal("export", work / grid, *STANDARD, "--plan", check=False)
        expect_true(f"{grid} is refused by the plan", done.returncode != 0 and "DequantizeLinear" in done.stderr, done.stderr.strip()[-300:])


goldens = load_goldens()
for part in sys.argv[1:] or [*sorted(path.stem for path in goldens.FILES.glob("*.json")), "grids"]:
    with tempfile.TemporaryDirectory() as work:
        judge_grids(Path(work)) if part == "grids" else judge_family(goldens, part, Path(work))
finish()
