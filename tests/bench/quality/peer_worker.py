"""One quantization by one peer, inside that peer's own interpreter; the last line printed is a JSON object of what it cost.

usage: PYTHON peer_worker.py gptqmodel|llmcompressor|autoround MODEL IDS.json OUT GROUP ITERATIONS
       PYTHON peer_worker.py llama SOURCE.gguf IMPORTANCE.npz OUT.gguf TYPE -
       PYTHON peer_worker.py ggml SOURCE.gguf IMPORTANCE.npz OUT.gguf - -
       PYTHON peer_worker.py importance MODEL IDS.json OUT.npz - -

MODEL: a Hugging Face folder with fp32 weights; IDS.json: the calibration windows as lists of token ids. All peers round decoder matrices
alone, to symmetric 4 bits, with their defaults else. ggml: OUT.gguf is there, with the types that llama-quantize would choose; its
tensors are rounded anew from SOURCE's by ggml_quantize_chunk, the function that llama-quantize calls, as the wheel xllamacpp carries it
(llama-cpp-python compiles for many minutes). importance: mean squares of the inputs of every linear layer, by transformers, for any
architecture. Seconds and memory are of this process, without programs that it starts (GPTQModel
compiles its packer when first used). Nothing is imported from the project: the peers' environments have their own packages only.
"""
import ctypes
import json
import resource
import sys
import time

STAGES = {}


class stage:
    """Adds up wall and CPU (user and system) seconds of a part."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.wall, self.cpu = time.time(), time.process_time()

    def __exit__(self, *_):
        STAGES[self.name] = {"wall": time.time() - self.wall, "cpu": time.process_time() - self.cpu}


def one_thread():
    import torch
    torch.set_num_threads(1)
    return torch


def gptqmodel(model, windows, out, group, iterations):
    with stage("import"):
        one_thread()
        from gptqmodel import GPTQModel, QuantizeConfig, __version__
    with stage("load"):
        held = GPTQModel.load(model, QuantizeConfig(bits=4, group_size=group, sym=True, desc_act=False), device="cpu", dtype="float32")
    with stage("quantize"):
        held.quantize([{"input_ids": w, "attention_mask": [1] * len(w)} for w in windows], batch_size=1)
    with stage("save"):
        held.save(out)
    return __version__


def llmcompressor(model, windows, out, group, iterations):
    with stage("import"):
        torch = one_thread()
        from datasets import Dataset
        from llmcompressor import __version__, oneshot
        from llmcompressor.modifiers.gptq import GPTQModifier
        from transformers import AutoModelForCausalLM
    data = Dataset.from_dict({"input_ids": windows, "attention_mask": [[1] * len(w) for w in windows]})
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": group, "actorder": "static"}
    recipe = GPTQModifier(config_groups={"group_0": {"targets": ["Linear"], "weights": weights}}, ignore=["lm_head"])
    with stage("load"):
        held = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with stage("quantize"):
        oneshot(model=held, dataset=data, recipe=[recipe], max_seq_length=len(windows[0]), num_calibration_samples=len(windows))
    with stage("save"):
        held.save_pretrained(out, save_compressed=True)
    return __version__


def autoround(model, windows, out, group, iterations):
    with stage("import"):
        torch = one_thread()
        from auto_round import AutoRound, __version__
        from transformers import AutoModelForCausalLM, AutoTokenizer
    data = [{"input_ids": w, "attention_mask": torch.ones_like(w)} for w in (torch.tensor(w)[None] for w in windows)]
    with stage("load"):
        held = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        tuner = AutoRound(held, AutoTokenizer.from_pretrained(model), bits=4, group_size=group, sym=True, iters=iterations, nsamples=len(windows),
                          seqlen=len(windows[0]), batch_size=8, dataset=data, device_map="cpu", enable_torch_compile=False)
    with stage("quantize"):
        tuner.quantize()
    with stage("save"):
        tuner.save_quantized(out, format="auto_gptq")
    return __version__


def importance(model, windows, out):
    with stage("import"):
        torch = one_thread()
        import numpy as np
        from transformers import AutoModelForCausalLM, __version__
    held = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    sums = {}

    def watch(name):
        def add(_, inputs, __):
            x = inputs[0].reshape(-1, inputs[0].shape[-1])
            sums[name] = sums.get(name, 0) + (x * x).sum(0)
        return add
    for name, module in held.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            module.register_forward_hook(watch(name + ".weight"))
    with stage("forward"), torch.inference_mode():
        for ids in windows:
            held(torch.tensor([ids]))
    tokens = sum(map(len, windows))
    np.savez(out, **{name: (value / tokens).numpy() for name, value in sums.items()})
    return __version__


def ggml(source, importance, out):
    with stage("import"):
        import importlib.metadata
        import importlib.util
        from pathlib import Path

        import numpy as np
        from gguf import GGUFReader
        folder = Path(importlib.util.find_spec("xllamacpp").origin).parent
        lib = ctypes.CDLL(str(next(folder.glob("xllamacpp*.so"))))
    floats = ctypes.POINTER(ctypes.c_float)
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, floats, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, floats]
    weights, known = {t.name: t for t in GGUFReader(source).tensors}, np.load(importance)
    with stage("quantize"):
        for tensor in GGUFReader(out, "r+").tensors:
            if tensor.tensor_type <= 1:  # F32, F16
                continue
            rows = np.ascontiguousarray(weights[tensor.name].data, dtype=np.float32)
            weight = np.ascontiguousarray(known[tensor.name], dtype=np.float32) if tensor.name in known else None
            made = np.empty(tensor.data.nbytes, dtype=np.uint8)
            size = lib.ggml_quantize_chunk(int(tensor.tensor_type), rows.ctypes.data_as(floats), made.ctypes.data, 0, rows.shape[0], rows.shape[1],
                                           None if weight is None else weight.ctypes.data_as(floats))
            if size != made.nbytes:
                sys.exit(f"ggml_quantize_chunk: {tensor.name}: {size} bytes, expected {made.nbytes}")
            tensor.data[...] = made.reshape(tensor.data.shape)
            tensor.data.flush()
    return "xllamacpp " + importlib.metadata.version("xllamacpp")


def llama(source, importance, out, kind):
    with stage("import"):
        import llama_cpp as lib
        import numpy as np
    lib.llama_backend_init()
    options = lib.llama_model_quantize_default_params()
    options.ftype, options.pure, options.nthread = getattr(lib, "LLAMA_FTYPE_MOSTLY_" + kind), True, 1
    options.token_embedding_type = 0  # F32: kept
    held = []  # ctypes keeps no reference: the arrays must outlive the call
    for name, weights in np.load(importance).items():
        weights = np.ascontiguousarray(weights, dtype=np.float32)
        pointer = weights.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        held.append((weights, lib.llama_model_imatrix_data(name.encode(), pointer, weights.size)))
    end = lib.llama_model_imatrix_data(None, None, 0)
    options.imatrix = (lib.llama_model_imatrix_data * (len(held) + 1))(*[entry for _, entry in held], end)
    with stage("quantize"):
        status = lib.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(options))
    if status:
        sys.exit(f"llama_model_quantize: {status}")
    return lib.__version__


def main():
    peer, model, second, out, form, iterations = sys.argv[1:]
    start = time.time()
    if peer == "llama":
        version = llama(model, second, out, form)
    elif peer == "ggml":
        version = ggml(model, second, out)
    elif peer == "importance":
        version = importance(model, json.load(open(second)), out)
    else:
        version = {"gptqmodel": gptqmodel, "llmcompressor": llmcompressor, "autoround": autoround}[peer](
            model, json.load(open(second)), out, int(form), int(iterations))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"version": version, "stages": STAGES, "wall": time.time() - start, "cpu": used.ru_utime + used.ru_stime,
                      "peak_bytes": used.ru_maxrss * 1024}), flush=True)


if __name__ == "__main__":
    main()
