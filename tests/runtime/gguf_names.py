"""Names of tensors in llama.cpp's files and in Hugging Face's, both ways: written down here once more, independently of frugal."""
TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def hugging_face_name(name):
    parts = name.removesuffix(".weight").split(".")
    return f"model.layers.{parts[1]}.{LAYER[parts[2]]}.weight" if parts[0] == "blk" else TOP[parts[0]] + ".weight"


def gguf_name(name):
    short = name.removesuffix(".weight")
    if short.startswith("model.layers."):
        _, _, layer, matrix = short.split(".", 3)
        return f"blk.{layer}.{next(k for k, v in LAYER.items() if v == matrix)}.weight"
    return next(k for k, v in TOP.items() if v == short) + ".weight"


def interleave(matrix, heads):
    """Rows of q or k as llama.cpp's files order them."""
    return matrix.reshape(heads, 2, -1, matrix.shape[1]).swapaxes(1, 2).reshape(matrix.shape)


def split_scales(reader):
    """The matrices and vectors of a file, and by a matrix's name its tensor scale, which llama.cpp multiplies products by."""
    scales = {tensor.name.removesuffix("scale") + "weight": tensor.data[0] for tensor in reader.tensors if tensor.name.endswith(".scale")}
    return [tensor for tensor in reader.tensors if not tensor.name.endswith(".scale")], scales
