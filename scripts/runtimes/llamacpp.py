"""llama.cpp for GGUF files, through the C interface that the wheels xllamacpp and llama-cpp-python carry."""
import ctypes
import importlib.metadata
import importlib.util
import pathlib

F32, F16 = 0, 1  # ggml types of the cache
FLASH_OFF, FLASH_AUTO = 0, -1


class Opaque(ctypes.Structure):
    """Room for a parameter struct that is passed by value: the callee reads as much of it as it knows."""
    _fields_ = [("data", ctypes.c_uint8 * 1024)]

    def integers(self):
        return np.frombuffer(self.data, np.int32)


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p),
                ("pos", ctypes.POINTER(ctypes.c_int32)), ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
                ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))), ("logits", ctypes.POINTER(ctypes.c_int8))]


class ContextLayout:
    """Where llama_context_params keeps what we set, in units of 4 bytes, read off the defaults. The struct grows from version to
    version, but these landmarks stay: it opens with n_ctx 512, n_batch 2048, n_ubatch 512, n_seq_max 1; four enumerations of -1
    (the last is flash attention) follow the thread counts and the kind of context; types of the cache are a pair of F16."""
    N_CTX, N_BATCH, N_UBATCH, N_SEQ_MAX, N_RS_SEQ, N_OUTPUTS_MAX = range(6)

    def __init__(self, defaults):
        words = [int(word) for word in defaults[:48]]
        if words[:6] != [512, 2048, 512, 1, 0, 0]:
            raise Refused(self.strange("its first fields", words[:6]))
        enums = next((i for i in range(8, 16) if words[i : i + 4] == [-1] * 4), None)
        if enums is None or words[enums - 3 : enums] != [4, 4, 0] or enums - 3 not in (6, 7):
            raise Refused(self.strange("the thread counts", words[6:16]))
        self.outputs_per_sequence = 6 if enums - 3 == 7 else None
        self.threads, self.threads_batch, self.flash = enums - 3, enums - 2, enums + 3
        callback = enums + 12 + (enums % 2)  # 8 numbers, then a pointer on an 8-byte boundary
        self.type_k, self.type_v = callback + 4, callback + 5
        if words[callback : callback + 6] != [0, 0, 0, 0, F16, F16]:
            raise Refused(self.strange("the types of the cache", words[callback : callback + 6]))

    @staticmethod
    def strange(what, found):
        return (f"this build of llama.cpp lays out its context parameters in a way that is not known ({what}: {found}); "
                "install xllamacpp==2026.10.11549")


def find_library():
    for wheel, module, pattern in (("xllamacpp", "xllamacpp", "xllamacpp*.so"), ("llama-cpp-python", "llama_cpp", "lib/libllama.so")):
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            continue
        for path in sorted(pathlib.Path(spec.origin).parent.glob(pattern)):
            return ctypes.CDLL(str(path)), f"{wheel} {importlib.metadata.version(wheel)}"
    raise Refused("neither xllamacpp nor llama-cpp-python is installed in this Python")


class Complaints:
    """What llama.cpp says to standard error: its warnings and errors, without its account of everything it does."""
    FORM = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    WARNING, ERROR, CONTINUED = 3, 4, 5

    def __init__(self):
        self.shown = False
        self.callback = self.FORM(self.say)  # llama.cpp keeps the pointer: it must live as long

    def say(self, level, text, _):
        self.shown = level in (self.WARNING, self.ERROR) or (level == self.CONTINUED and self.shown)
        if self.shown:
            sys.stderr.write(text.decode(errors="replace"))
            sys.stderr.flush()


class LlamaCpp:
    def open(self, request):
        self.lib, version = find_library()
        self.declare()
        self.complaints = Complaints()
        self.lib.llama_log_set(self.complaints.callback, None)
        self.lib.llama_backend_init()
        path = request["path"].encode()
        self.model = self.lib.llama_model_load_from_file(path, self.lib.llama_model_default_params())
        if not self.model:
            raise Refused(f"llama.cpp does not load {request['path']}; see what it says")
        self.vocabulary = self.lib.llama_vocab_n_tokens(self.lib.llama_model_get_vocab(self.model))
        self.sequences = request["sequences"]
        # As many positions a pass as llama.cpp takes by itself, fewer where their logits would take much memory.
        self.tokens = min(max(32, min(512, LARGEST_PART // self.vocabulary), self.sequences), self.positions(request))
        self.make_context(request)
        self.allocate()
        trained = self.lib.llama_model_n_ctx_train(self.model)
        exact = request["exact_cache"]
        return {"runtime": "llama.cpp", "version": version, "vocabulary": self.vocabulary, "context": trained,
                "threads": self.lib.llama_n_threads(self.context),
                "settings": {"cache": "f32" if exact else "f16", "flash_attention": "off" if exact else "auto",
                             "positions_per_pass": self.tokens, "model": self.description(),
                             "system": self.lib.llama_print_system_info().decode().strip()}}

    def declare(self):
        pointer, c = ctypes.c_void_p, ctypes
        for name, result, arguments in (
                ("llama_log_set", None, [Complaints.FORM, pointer]), ("llama_backend_init", None, []), ("llama_context_default_params", Opaque, []),
                ("llama_model_default_params", Opaque, []), ("llama_model_load_from_file", pointer, [c.c_char_p, Opaque]),
                ("llama_init_from_model", pointer, [pointer, Opaque]), ("llama_model_get_vocab", pointer, [pointer]),
                ("llama_vocab_n_tokens", c.c_int32, [pointer]), ("llama_model_n_ctx_train", c.c_int32, [pointer]),
                ("llama_model_desc", c.c_int32, [pointer, c.c_char_p, c.c_size_t]), ("llama_print_system_info", c.c_char_p, []),
                ("llama_n_threads", c.c_int32, [pointer]), ("llama_n_threads_batch", c.c_int32, [pointer]),
                ("llama_n_batch", c.c_uint32, [pointer]), ("llama_n_ubatch", c.c_uint32, [pointer]),
                ("llama_n_ctx", c.c_uint32, [pointer]), ("llama_n_seq_max", c.c_uint32, [pointer]),
                ("llama_get_memory", pointer, [pointer]), ("llama_memory_clear", None, [pointer, c.c_bool]),
                ("llama_memory_seq_rm", c.c_bool, [pointer, c.c_int32, c.c_int32, c.c_int32]),
                ("llama_memory_seq_pos_min", c.c_int32, [pointer, c.c_int32]), ("llama_memory_seq_pos_max", c.c_int32, [pointer, c.c_int32]),
                ("llama_decode", c.c_int32, [pointer, Batch]), ("llama_get_logits_ith", c.POINTER(c.c_float), [pointer, c.c_int32])):
            function = getattr(self.lib, name)
            function.restype, function.argtypes = result, arguments

    def description(self):
        text = ctypes.create_string_buffer(256)
        self.lib.llama_model_desc(self.model, text, len(text))
        return text.value.decode(errors="replace")

    def positions(self, request):
        """Of the whole cache: llama.cpp gives each sequence an equal share, in steps of 256."""
        return -(-request["context"] // 256) * 256 * self.sequences

    def make_context(self, request):
        params = self.lib.llama_context_default_params()
        words, layout = params.integers(), ContextLayout(params.integers())
        expected = {"llama_n_ctx": self.positions(request), "llama_n_batch": self.tokens, "llama_n_ubatch": self.tokens,
                    "llama_n_seq_max": self.sequences, "llama_n_threads": request["threads"],
                    "llama_n_threads_batch": request["threads"]}
        for field, name in ((layout.N_CTX, "llama_n_ctx"), (layout.N_BATCH, "llama_n_batch"), (layout.N_UBATCH, "llama_n_ubatch"),
                            (layout.N_SEQ_MAX, "llama_n_seq_max"), (layout.threads, "llama_n_threads"),
                            (layout.threads_batch, "llama_n_threads_batch")):
            words[field] = expected[name]
        if layout.outputs_per_sequence is not None:
            words[layout.N_OUTPUTS_MAX] = words[layout.outputs_per_sequence] = self.tokens
        if request["exact_cache"]:
            words[layout.type_k] = words[layout.type_v] = F32
            words[layout.flash] = FLASH_OFF
        self.context = self.lib.llama_init_from_model(self.model, params)
        if not self.context:
            raise Refused(f"llama.cpp makes no context of {words[layout.N_CTX]} tokens; see what it says")
        for name, value in expected.items():
            found = getattr(self.lib, name)(self.context)
            if found != value:
                raise Refused(f"llama.cpp was asked for {name} = {value} and says {found}: its parameters are laid out in a way "
                              "that is not known; install xllamacpp==2026.10.11549")
        self.memory = self.lib.llama_get_memory(self.context)

    def allocate(self):
        """The arrays of a batch, filled anew for each pass."""
        n = self.tokens
        self.token, self.position = np.zeros(n, np.int32), np.zeros(n, np.int32)
        self.count, self.sequence, self.wanted = np.ones(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int8)
        as_ints = lambda array: array.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        base, one = self.sequence.ctypes.data, ctypes.POINTER(ctypes.c_int32)
        self.sequence_pointers = (one * n)(*(ctypes.cast(base + 4 * i, one) for i in range(n)))
        self.batch = Batch(0, as_ints(self.token), None, as_ints(self.position), as_ints(self.count),
                           ctypes.cast(self.sequence_pointers, ctypes.POINTER(one)),
                           self.wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)))

    def decode(self, token, position, sequence, wanted):
        """One pass over at most self.tokens positions; logits [n, V] of the wanted ones (a view, until the next pass)."""
        n = len(token)
        self.token[:n], self.position[:n], self.sequence[:n], self.wanted[:n] = token, position, sequence, wanted
        self.batch.n_tokens = n
        code = self.lib.llama_decode(self.context, self.batch)
        if code != 0:
            raise Refused(f"llama_decode of {n} tokens says {code} (1: no room in the cache)")
        outputs = np.flatnonzero(wanted)
        if len(outputs) == 0:
            return np.empty((0, self.vocabulary), np.float32)
        first = self.lib.llama_get_logits_ith(self.context, int(outputs[0]))
        last = self.lib.llama_get_logits_ith(self.context, int(outputs[-1]))
        address = lambda pointer: ctypes.cast(pointer, ctypes.c_void_p).value
        if not first or not last or address(last) - address(first) != 4 * self.vocabulary * (len(outputs) - 1):
            raise Refused("llama.cpp gives no logits for the positions asked for, or not behind each other")
        return np.ctypeslib.as_array(first, (len(outputs), self.vocabulary))

    def rows(self, ids, positions, begin):
        if begin == 0:
            self.lib.llama_memory_clear(self.memory, True)
        wanted = np.zeros(len(ids), np.int8)
        wanted[positions] = 1
        for first in range(begin, len(ids), self.tokens):
            part = slice(first, min(len(ids), first + self.tokens))
            logits = self.decode(ids[part], np.arange(part.start, part.stop), 0, wanted[part])
            if wanted[part].any():
                yield np.flatnonzero(wanted[part]) + first, logits
        self.length = len(ids)

    def keep(self, length):
        """False of a memory that cannot be cut, or has let go of its beginning."""
        return (self.lib.llama_memory_seq_rm(self.memory, 0, length, -1) and self.lib.llama_memory_seq_pos_min(self.memory, 0) == 0
                and self.lib.llama_memory_seq_pos_max(self.memory, 0) == length - 1)

    def prefill(self, prompts):
        self.lib.llama_memory_clear(self.memory, True)
        self.rows_of_prompt = prompts.shape[1]
        self.batch_size = len(prompts)
        positions = np.tile(np.arange(prompts.shape[1]), len(prompts))
        sequences = np.repeat(np.arange(len(prompts)), prompts.shape[1])
        wanted = (positions == prompts.shape[1] - 1).astype(np.int8)
        flat, parts = prompts.reshape(-1), []
        for begin in range(0, len(flat), self.tokens):
            part = slice(begin, begin + self.tokens)
            parts.append(self.decode(flat[part], positions[part], sequences[part], wanted[part]).copy())
        self.length = prompts.shape[1]
        return np.concatenate(parts)

    def step(self, ids):
        n = len(ids)
        logits = self.decode(ids, np.full(n, self.length), np.arange(n), np.ones(n, np.int8))
        self.length += 1
        return logits

    def rewind(self):
        for sequence in range(self.batch_size):
            if not self.lib.llama_memory_seq_rm(self.memory, sequence, self.rows_of_prompt, -1):
                raise Refused("llama.cpp cannot take this model's memory back to the end of the prompt, so its decoding cannot be "
                              "timed apart")
        self.length = self.rows_of_prompt


Server(LlamaCpp()).run()
