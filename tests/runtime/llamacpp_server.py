"""llama.cpp in this process: log-probabilities of all ids behind a prompt, with an f32 cache and without flash attention."""
import json

import numpy as np
import xllamacpp as xlc


class Server:
    def __init__(self, path, context):
        p = xlc.CommonParams()
        p.model.path, p.n_ctx, p.n_parallel, p.n_batch = str(path), context, 1, context
        p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 2
        p.cache_type_k = p.cache_type_v = xlc.ggml_type.GGML_TYPE_F32
        p.flash_attn_type = xlc.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        p.verbosity = 0
        self.server = xlc.Server(p)

    def next_log_probabilities(self, ids, vocabulary, plain_id):
        """The reply lacks its probabilities where the sampled piece ends inside a character, so the sampler is bent towards
        `plain_id`; the probabilities are those from before sampling."""
        reply = self.server.handle_completions({"prompt": ids, "n_predict": 1, "n_probs": vocabulary, "temperature": 0, "logit_bias": [[plain_id, 10000]],
                                                "cache_prompt": True, "post_sampling_probs": False})
        reply = json.loads(reply) if isinstance(reply, str) else reply
        entry = reply["completion_probabilities"][0] if "completion_probabilities" in reply else reply["choices"][0]["logprobs"]["content"][0]
        result = np.full(vocabulary, -np.inf)
        for candidate in entry["top_logprobs"]:
            result[candidate["id"]] = candidate["logprob"]
        return result


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))
