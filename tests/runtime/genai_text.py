"""Greedy text of onnxruntime-genai."""
import numpy as np
import onnxruntime_genai as og


def generate(model, ids, count):
    parameters = og.GeneratorParams(model)
    parameters.set_search_options(max_length=len(ids) + count, min_length=len(ids) + count, do_sample=False)
    generator = og.Generator(model, parameters)
    generator.append_tokens(ids)
    logits = np.array(generator.get_logits()).reshape(-1)
    while not generator.is_done():
        generator.generate_next_token()
    return logits, list(generator.get_sequence(0))[len(ids):]
