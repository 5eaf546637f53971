# needs: numpy safetensors tokenizers
"""Packed folders elsewhere. compressed-tensors: transformers with the package loads what was written, every weight is bit-equal to the
decoded one of the checkpoint, and logits equal frugal's. GPTQ: an independent NumPy reader of the published layout
(w = scale[g] * (q - zero[g]), codes packed along the columns; GPTQModel, BaseQuantLinear.dequantize_weight) finds the same bits.
Without transformers and compressed-tensors (scripts/setup --transformers) GPTQ alone is judged.

transformers 5.23 unpacks in two ways: while it loads (`dequantize=True`; one scheme for all modules, weights in the type of the scales) and
at the first forward (several schemes; zero points that are packed are refused; FP4
comes in bf16, which a model of fp32 cannot multiply). Each scheme goes through those that take it."""
import sys
import tempfile
from pathlib import Path

from common import *

try:
    import compressed_tensors  # transformers imports it when it meets such a folder
    import torch
    import transformers
except ImportError as error:
    transformers = None
    print(f"note: {error} (scripts/setup --transformers); compressed-tensors folders are not judged")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "golden"))
from packed import shifted, three_bits  # the shifts that GPTQModel publishes

if transformers:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def loaded(folder, while_loading, ids):
    """Weights by name and logits of `ids`, as transformers has them."""
    options = {"quantization_config": transformers.CompressedTensorsConfig(dequantize=True)} if while_loading else {}
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].numpy()
    return {name: value.numpy() for name, value in model.state_dict().items() if value.dtype == torch.float32}, logits


def compare_weights(name, found, plain):
    expected = load_weights(plain)
    bad = [weight for weight, values in expected.items()
           if weight not in found or (found[weight] + np.float32(0)).tobytes() != (values + np.float32(0)).tobytes()]
    expect_true(f"{name}: {len(expected)} weights bit-equal", not bad, ", ".join(bad[:3]))


def judge_compressed(name, out, plain, ids, while_loading):
    if transformers is None:
        return
    found, logits = loaded(out, while_loading, ids)
    how = "while it loads" if while_loading else "at the first forward"
    compare_weights(f"{name} {how}", found, plain)
    expect(f"{name} {how}: logits", float(np.abs(logits - our_logits(plain, ids)).max()), 0.0, 1e-4)


def read_gptq(tensors, settings, module, bits):
    zeros = tensors[module + ".qzeros"][1]
    less_one = settings["checkpoint_format"] == "gptq"
    if bits == 3:
        codes, zeros = three_bits(tensors[module + ".qweight"][1]), (three_bits(zeros.T.copy()).T + less_one) & 7
    else:
        if less_one:
            zeros = (zeros.view(np.uint32) + np.uint32({2: 0x55555555, 4: 0x11111111, 8: 0x01010101}[bits])).view(np.int32)
        codes, zeros = shifted(tensors[module + ".qweight"][1], bits, 0), shifted(zeros, bits, 1)
    order = tensors[module + ".g_idx"][1]
    return (tensors[module + ".scales"][1].astype(np.float32)[order] * (codes - zeros[order]).astype(np.float32)).T


def judge_gptq(name, out, plain):
    tensors, settings = raw_tensors(out), json.load(open(out / "config.json"))["quantization_config"]
    found = {}
    for key, (kind, value) in tensors.items():
        if key.endswith(".qweight"):
            module = key.removesuffix(".qweight")
            found[module + ".weight"] = read_gptq(tensors, settings, module, settings["bits"])
        elif not key.endswith((".qzeros", ".scales", ".g_idx")):
            found[key] = value.astype(np.float32)
    compare_weights(name, found, plain)


with tempfile.TemporaryDirectory() as work:
    work = Path(work)
    ids = np.random.default_rng(5).integers(1, 384, 48).tolist()
    models = {tied: make_llama(work / f"tied-{tied}", tied=tied) for tied in (True, False)}

    def quantized(stem, tied, *arguments):
        frugal("quantize", models[tied], "--method", "rtn", *arguments, "--out", work / stem)
        frugal("export", work / stem, "--format", "huggingface", "--out", work / f"{stem}-plain")
        return work / stem, work / f"{stem}-plain"

    for grid, tied, ways in (("int4:g32", True, (True, False)), ("int4:g128:asym", False, (True,)), ("int4:row", False, (True, False)),
                             ("int8:g128", True, (True, False)), ("int8:row:asym", True, (True,)), ("q4_0", False, (True, False)),
                             ("int3:g32", True, (True, False)), ("fp8:row", False, (True, False)), ("q5_0", True, (True,)),
                             ("nvfp4", True, (True,)), ("mxfp4", False, (True,))):
        stem = grid.replace(":", "-")
        checkpoint, plain = quantized(stem, tied, "--grid", grid)
        out = work / f"{stem}-compressed-tensors"
        frugal("export", checkpoint, "--out", out)
        for while_loading in ways:
            judge_compressed(f"compressed-tensors {grid}", out, plain, ids, while_loading)
    # Inputs that are rounded, too: transformers unpacks and rounds no inputs, as the decoded folder.
    checkpoint, plain = quantized("w8a8", True, "--grid", "int8:row", "--activations", "int8")
    frugal("export", checkpoint, "--format", "compressed_tensors", "--out", work / "w8a8-packed")
    judge_compressed("compressed-tensors w8a8", work / "w8a8-packed", plain, ids, True)
    # Several schemes in one model.
    checkpoint, plain = quantized("mixed", False, "--grid", "int4:g32", "--overrides", "*down_proj*=int8:row,*q_proj*=fp8:row")
    frugal("export", checkpoint, "--format", "compressed_tensors", "--out", work / "mixed-packed")
    judge_compressed("compressed-tensors of three schemes", work / "mixed-packed", plain, ids, False)

    for grid in ("int4:g32", "int4:g64:asym", "int2:g32:asym", "int3:g32:asym", "int8:row"):
        checkpoint, plain = quantized(f"gptq-{grid.replace(':', '-')}", True, "--grid", grid)
        for version in (1, 2):
            out = work / f"{checkpoint.name}-{version}"
            frugal("export", checkpoint, "--format", "gptq", "--gptq-version", version, "--out", out)
            judge_gptq(f"gptq {grid} version {version}", out, plain)
finish()
