"""An exported decoder in ONNX Runtime: logits and caches of a piece of text behind what came before."""
import numpy as np
import onnxruntime as ort


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(model, ids, past):
    past_length = next(iter(past.values())).shape[2]
    feeds = {"input_ids": np.array([ids], dtype=np.int64), "attention_mask": np.ones((1, past_length + len(ids)), dtype=np.int64), **past}
    outputs = dict(zip([o.name for o in model.get_outputs()], model.run(None, feeds)))
    return outputs["logits"][0], {name.replace("present", "past_key_values"): value for name, value in outputs.items() if name != "logits"}


def empty_past(model):
    return {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), dtype=np.float32) for i in model.get_inputs() if i.name.startswith("past_key_values")}
