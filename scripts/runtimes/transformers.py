"""transformers for Hugging Face folders, plain or packed as compressed-tensors (which it decodes when it loads): in fp32, on the CPU."""
import torch
import transformers


class Transformers:
    def open(self, request):
        torch.set_num_threads(request["threads"])
        torch.set_grad_enabled(False)
        transformers.utils.logging.disable_progress_bar()
        try:
            self.model = transformers.AutoModelForCausalLM.from_pretrained(
                request["path"], dtype=torch.float32, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # of many classes, all with the reason as text
            raise Refused(f"transformers does not load {request['path']}: {error}")
        self.model.eval()
        config = self.model.config.get_text_config()
        self.vocabulary = config.vocab_size
        self.tokens = max(32, min(512, LARGEST_PART // self.vocabulary))
        return {"runtime": "transformers", "version": f"transformers {transformers.__version__}", "vocabulary": self.vocabulary,
                "context": config.max_position_embeddings, "threads": torch.get_num_threads(),
                "settings": {"torch": torch.__version__, "dtype": "float32", "attention": config._attn_implementation,
                             "positions_per_pass": self.tokens}}

    def forward(self, ids, cache, last_alone):
        """Logits [B, T, V] behind each of ids [B, T] or behind the last one alone; the cache grows by them."""
        try:
            out = self.model(input_ids=torch.from_numpy(np.array(ids, np.int64)), past_key_values=cache, use_cache=True,
                             logits_to_keep=1 if last_alone else 0)
        except RuntimeError as error:
            raise Refused(f"transformers: {error}")
        return out.logits.float().numpy()

    def rows(self, ids, positions, begin):
        if begin == 0:
            self.cache = transformers.DynamicCache(config=self.model.config)
        for first in range(begin, len(ids), self.tokens):
            end = min(len(ids), first + self.tokens)
            logits = self.forward(ids[None, first:end], self.cache, False)
            inside = positions[(positions >= first) & (positions < end)]
            if len(inside):
                yield inside, logits[0, inside - first]
        self.steps = 0

    def keep(self, length):
        try:
            self.cache.crop(length)
        except (ValueError, RuntimeError):  # a window that has let go of its beginning
            return False
        return self.cache.get_seq_length() == length

    def prefill(self, prompts):
        self.cache = transformers.DynamicCache(config=self.model.config)
        self.steps = 0
        return self.forward(prompts, self.cache, True)[:, -1]

    def step(self, ids):
        self.steps += 1
        return self.forward(ids[:, None], self.cache, True)[:, -1]

    def rewind(self):
        if self.steps > 0:
            self.cache.crop(-self.steps)
        self.steps = 0


Server(Transformers()).run()
