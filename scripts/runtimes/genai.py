"""onnxruntime-genai: generation and its timing as its users have them. It hands out the logits of the last position alone, so
it scores by appending one id after the other, from the first position that is asked for."""
import pathlib

import onnxruntime_genai
from importlib.metadata import version as version_of


class Genai:
    def open(self, request):
        folder = pathlib.Path(request["path"])
        try:
            config = json.loads((folder / "genai_config.json").read_text())["model"]
            runtime = onnxruntime_genai.Config(str(folder))
            runtime.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": request["threads"]}}}}))
            self.model = onnxruntime_genai.Model(runtime)
        except Exception as error:  # of many classes, all with the reason as text
            raise Refused(f"onnxruntime-genai does not load {folder}: {error}")
        self.vocabulary, self.context = config["vocab_size"], min(request["context"], config["context_length"])
        return {"runtime": "onnxruntime-genai", "version": f"onnxruntime-genai {version_of('onnxruntime-genai')}",
                "vocabulary": self.vocabulary, "context": config["context_length"], "threads": request["threads"],
                "settings": {"providers": ["CPUExecutionProvider"], "max_length": self.context}}

    def begin(self, prompts):
        try:
            parameters = onnxruntime_genai.GeneratorParams(self.model)
            parameters.set_search_options(max_length=self.context, batch_size=len(prompts), do_sample=False)
            self.generator = onnxruntime_genai.Generator(self.model, parameters)
        except Exception as error:
            raise Refused(f"onnxruntime-genai: {error}")
        return self.append(prompts)

    def append(self, ids):
        """Logits [B, V] behind the last of ids [B, T]."""
        try:
            self.generator.append_tokens(np.array(ids, np.int32))
            return np.asarray(self.generator.get_logits(), np.float32).reshape(len(ids), -1, self.vocabulary)[:, -1]
        except Exception as error:
            raise Refused(f"onnxruntime-genai: {error}")

    def rows(self, ids, positions, begin):
        wanted, first = set(int(p) for p in positions), int(positions[0])
        part = ids[None, begin : first + 1]
        yield positions[:1], self.begin(part) if begin == 0 else self.append(part)
        for position in range(first + 1, len(ids)):
            logits = self.append(ids[None, position : position + 1])
            if position in wanted:
                yield np.array([position]), logits

    def keep(self, length):
        self.generator.rewind_to(length)
        return True

    def prefill(self, prompts):
        if len(prompts) > 1:  # RewindToLength: only to 0 when batch_size > 1
            raise Refused("onnxruntime-genai cannot take several sequences back to the end of their prompts; time one at a time")
        self.length = prompts.shape[1]
        return self.begin(prompts)

    def step(self, ids):
        return self.append(ids[:, None])

    def rewind(self):
        self.generator.rewind_to(self.length)


Server(Genai()).run()
