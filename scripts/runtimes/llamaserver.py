"""llama.cpp's own llama-server where it stands on the PATH, over HTTP on the loopback. It says the probabilities of all ids for one place at
a time, so it scores slowly; it keeps the beginning of a prompt in its cache by itself."""
import ctypes
import http.client
import shutil
import signal
import socket
import subprocess

END_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG
PATIENCE = 1800  # seconds for an answer


class LlamaServer(Server):
    def on_open(self, request, payload):
        program = shutil.which("llama-server")
        if program is None:
            raise Refused("there is no llama-server on the PATH")
        said = subprocess.run([program, "--version"], capture_output=True, text=True)
        version = next((line[8:].strip() for line in (said.stderr + said.stdout).splitlines() if line.startswith("version:")), "of unknown version")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        threads, context = str(request["threads"]), str(-(-max(1, request["context"]) // 256) * 256)
        command = ["llama-server", "-m", request["path"], "-c", context, "-np", "1", "-t", threads, "--host", "127.0.0.1", "--port", str(self.port)]
        if request["exact_cache"]:
            command += ["--cache-type-k", "f32", "--cache-type-v", "f32"]
        self.become(program, command)
        while self.ask("GET", "/health")[0] != 200:
            time.sleep(0.05)
        try:
            model = self.answer("GET", "/v1/models")["data"][0]["meta"]
            self.vocabulary, trained = model["n_vocab"], model["n_ctx_train"]
            self.plain = self.answer("POST", "/tokenize", {"content": "a"})["tokens"][0]
        except (KeyError, IndexError, TypeError) as error:
            raise Refused(f"llama-server does not say what is known of it: {error!r}")
        self.channel.write({"ok": True, "runtime": "llama-server", "version": f"llama-server {version}", "vocabulary": self.vocabulary,
                            "context": trained, "threads": request["threads"],
                            "settings": {"program": program, "slots": 1, "cache": "f32" if request["exact_cache"] else "f16",
                                         "time_per_token": "the mean of each text"}})

    def become(self, program, command):
        """frugal counts the time and memory of its child: that becomes the server, and this conversation a child of it. Each ends with
        the other."""
        server = os.getpid()
        if os.fork() != 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execv(program, command)
        self.server = server
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != server:  # it ended before that call
            os._exit(1)

    def run(self):
        self.server = None
        try:
            super().run()
        finally:
            if self.server is not None and os.getppid() == self.server:
                os.kill(self.server, signal.SIGTERM)

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        except ConnectionError:  # not listening yet; a server that has ended takes this process with it
            return 0, b""
        finally:
            connection.close()

    def answer(self, method, path, body=None):
        status, text = self.ask(method, path, body)
        if status != 200:
            raise Refused(f"llama-server answers {path} with status {status}: {text[:300].decode(errors='replace')}")
        return json.loads(text)

    def complete(self, ids, count, **options):
        return self.answer("POST", "/completion", {"prompt": [int(id) for id in ids], "n_predict": count, "temperature": 0, "cache_prompt": True,
                                                   "return_tokens": True, **options})

    def rows(self, ids, positions, apart=False):
        for position in positions:
            # A piece that ends inside a character comes without its probabilities, so the sampler is bent towards a plain one; the
            # probabilities are those before sampling.
            said = self.complete(ids[: position + 1], 1, n_probs=self.vocabulary, post_sampling_probs=False, logit_bias=[[self.plain, 10000]])
            try:
                candidates = said["completion_probabilities"][0]["top_logprobs"]
                row = np.full(self.vocabulary, np.nan, np.float32)
                row[[candidate["id"] for candidate in candidates]] = [candidate["logprob"] for candidate in candidates]
            except (KeyError, IndexError, TypeError) as error:
                raise Refused(f"llama-server gives no probabilities of every id: {error!r}")
            yield np.array([position]), row[None]

    def on_generate(self, request, payload):
        ids, out, at = np.frombuffer(payload, "<i4").tolist(), [], 0
        for length in request["lengths"]:
            self.text = ids[at : at + length]
            out.append(self.new_ids(request))
            at += length
        self.write_texts(out)

    def new_ids(self, request):
        drawn = {} if request["temperature"] <= 0 else {"temperature": request["temperature"], "top_p": request["top_p"], "top_k": 0, "min_p": 0,
                                                        "seed": request.get("seed", 1)}
        made = self.complete(self.text, request["max_new_tokens"], **drawn)["tokens"]
        end = next((i for i, id in enumerate(made) if id in request["stop"]), len(made))
        self.text = self.text + made[:end]
        return np.array(made[:end], "<i4")

    def on_prefill(self, request, payload):
        if request["batch"] > 1:
            raise Refused("llama-server is timed with one sequence at a time")
        self.text = np.frombuffer(payload, "<i4").tolist()
        begin = time.perf_counter()
        self.complete(self.text, 1, cache_prompt=False)
        self.channel.write({"ok": True, "seconds": time.perf_counter() - begin})

    def on_decode(self, request, payload):
        """The first id comes with the prompt, whose last id is read again; the server's clock begins behind it."""
        said = self.complete(self.text, request["steps"] + 1, ignore_eos=True)["timings"]
        if said["predicted_n"] != request["steps"] + 1:
            raise Refused(f"llama-server wrote {said['predicted_n']} ids where {request['steps'] + 1} were asked for")
        each = said["predicted_ms"] / 1000 / request["steps"]
        self.channel.write({"ok": True}, np.full(request["steps"], each, "<f8").tobytes())


LlamaServer(None).run()
