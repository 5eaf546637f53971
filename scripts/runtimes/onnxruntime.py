"""ONNX Runtime for decoders in the layout of onnxruntime-genai: genai_config.json beside the graph, a cache of past_key_values."""
import pathlib

import onnxruntime

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxRuntime:
    def open(self, request):
        folder = pathlib.Path(request["path"])
        try:
            config = json.loads((folder / "genai_config.json").read_text())["model"]
            self.names = config["decoder"]
            graph = folder / self.names["filename"]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise Refused(f"{folder} is no folder for onnxruntime-genai: {error}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of many classes, all with the reason as text
            raise Refused(f"ONNX Runtime does not load {graph}: {error}")
        self.cache_inputs = {i.name: i for i in self.session.get_inputs() if i.name.startswith("past_key_values")}
        known = {"input_ids", "attention_mask", "position_ids", *self.cache_inputs}
        strange = [i.name for i in self.session.get_inputs() if i.name not in known]
        if strange or not self.cache_inputs:
            raise Refused(f"{graph} is no decoder of a kind that is known: inputs {strange or 'without past_key_values'}")
        self.takes_positions = any(i.name == "position_ids" for i in self.session.get_inputs())
        self.outputs = [o.name for o in self.session.get_outputs()]
        self.vocabulary = config["vocab_size"]
        self.tokens = max(32, min(512, LARGEST_PART // self.vocabulary))
        return {"runtime": "onnxruntime", "version": f"onnxruntime {onnxruntime.__version__}", "vocabulary": self.vocabulary,
                "context": config["context_length"], "threads": request["threads"],
                "settings": {"providers": self.session.get_providers(), "positions_per_pass": self.tokens, "cache": "copied at each step",
                             "optimization": options.graph_optimization_level.name}}

    def empty_cache(self, batch):
        return {name: np.zeros((batch, i.shape[1], 0, i.shape[3]), TYPES[i.type]) for name, i in self.cache_inputs.items()}

    def forward(self, ids, cache):
        """Logits [B, T, V] behind each of ids [B, T], and the longer cache."""
        past = next(iter(cache.values())).shape[2]
        batch, length = ids.shape
        feeds = {"input_ids": ids.astype(np.int64), "attention_mask": np.ones((batch, past + length), np.int64), **cache}
        if self.takes_positions:
            feeds["position_ids"] = np.tile(np.arange(past, past + length, dtype=np.int64), (batch, 1))
        try:
            outputs = dict(zip(self.outputs, self.session.run(None, feeds)))
        except Exception as error:
            raise Refused(f"ONNX Runtime: {error}")
        logits = outputs.pop("logits").astype(np.float32, copy=False)
        if logits.shape[-1] != self.vocabulary:
            raise Refused(f"the graph gives {logits.shape[-1]} logits, genai_config.json says {self.vocabulary}")
        return logits, {name.replace("present", "past_key_values"): value for name, value in outputs.items()}

    def rows(self, ids, positions, begin):
        if begin == 0:
            self.cache = self.empty_cache(1)
        for first in range(begin, len(ids), self.tokens):
            end = min(len(ids), first + self.tokens)
            logits, self.cache = self.forward(ids[None, first:end], self.cache)
            inside = positions[(positions >= first) & (positions < end)]
            if len(inside):
                yield inside, logits[0, inside - first]

    def keep(self, length):
        self.cache = {name: value[:, :, :length] for name, value in self.cache.items()}
        return True

    def prefill(self, prompts):
        logits, self.prompt_cache = self.forward(prompts, self.empty_cache(len(prompts)))
        self.cache = self.prompt_cache
        return logits[:, -1]

    def step(self, ids):
        logits, self.cache = self.forward(ids[:, None], self.cache)
        return logits[:, -1]

    def rewind(self):
        self.cache = self.prompt_cache


Server(OnnxRuntime()).run()
