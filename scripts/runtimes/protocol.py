"""What every adapter shares: frugal's side of the pipe, and the bookkeeping that does not depend on the runtime.

frugal starts `python -c` with this text and one adapter behind it. Both speak in messages: one line of JSON, then as many raw bytes
as its "bytes" says (ids and positions as int32, logarithms as float64, rows of them as float32, all little endian). A request has an
"op"; the answer has "ok": true, or "ok": false and an "error" for people. The adapter is a class with these methods; ids are arrays
of int32, `rows` are float32 logits [n, V] in the order of the outputs asked for:

  open(request) -> dict               loads the artifact; "runtime", "version", "vocabulary", "context", "threads", "settings"
  rows(ids, positions, begin)         yields (positions of a part, logits of it) of one sequence, whose first `begin` ids are in the
                                      cache already; 0: from an empty cache
  keep(length) -> bool                takes the cache of that sequence back to its first `length` ids; False: it cannot, and the next
                                      sequence begins with an empty one
  prefill(prompts) -> logits [B, V]   reads prompts [B, P] into an empty cache; logits behind the last id of each
  step(ids) -> logits [B, V]          appends one id to each sequence
  rewind()                            takes the cache back to what prefill left

What any library prints goes to standard error: frugal shows the end of it when something fails.
"""
import sys

sys.path[:] = [folder for folder in sys.path if folder]  # "": where frugal was started, whose numpy.py or onnxruntime.py is not the wheel

import json
import os
import time

import numpy as np

LARGEST_PART = 1 << 26  # bytes of rows in one message
LEAST_SHARED = 8  # ids: a shorter common beginning is not worth taking the cache back


class Refused(Exception):
    """Something to say to the user, without a traceback."""


class Channel:
    def __init__(self):
        self.source = os.fdopen(os.dup(0), "rb", buffering=1 << 16)
        self.target = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
        os.dup2(2, 1)  # a library that prints must not speak between our messages

    def read(self):
        line = self.source.readline()
        if not line:
            return None, b""
        request = json.loads(line)
        payload = self.source.read(request.get("bytes", 0))
        return request, payload

    def write(self, message, payload=b""):
        message["bytes"] = len(payload)
        self.target.write(json.dumps(message).encode() + b"\n")
        self.target.write(payload)
        self.target.flush()


def log_softmax_at(logits, targets):
    """ln p of one target per row: float32 logits [n, V], sums in float64."""
    highest = logits.max(axis=-1, keepdims=True)
    total = np.exp(logits - highest).sum(axis=-1, dtype=np.float64)
    chosen = np.take_along_axis(logits, targets[:, None], axis=-1)[:, 0].astype(np.float64)
    return chosen - highest[:, 0].astype(np.float64) - np.log(total)


def choose(logits, request, random):
    """The next id of each row: the first most probable one, or drawn at a temperature from the nucleus."""
    temperature, top_p = request.get("temperature", 0.0), request.get("top_p", 1.0)
    if temperature <= 0:
        return logits.argmax(axis=-1).astype(np.int32)
    out = np.empty(len(logits), np.int32)
    for row, values in enumerate(logits.astype(np.float64) / temperature):
        p = np.exp(values - values.max())
        p /= p.sum()
        order = np.argsort(-p, kind="stable")
        kept = order[: int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1] if top_p < 1 else order
        out[row] = random.choice(kept, p=p[kept] / p[kept].sum())
    return out


class Server:
    def __init__(self, adapter):
        self.adapter, self.channel = adapter, Channel()
        self.next_ids = None
        self.known = np.empty(0, np.int32)  # the sequence that the cache holds, if one alone

    def run(self):
        while True:
            request, payload = self.channel.read()
            if request is None:
                return
            try:
                getattr(self, "on_" + request["op"])(request, payload)
            except Refused as refused:
                self.channel.write({"ok": False, "error": str(refused)})

    def on_open(self, request, payload):
        self.channel.write({"ok": True, **self.adapter.open(request)})

    def rows(self, ids, positions, apart=False):
        """The adapter's rows at ascending positions. What the sequence shares with the one before, a task's examples or the context
        of a question's choices, is not read again. `apart`: what lies in front of the first position is read by itself, as it is where
        it is shared: kernels for few and for many ids round differently, and no choice of a question is to be treated otherwise than
        the next."""
        if len(positions) == 0:
            return
        ids, first = ids[: int(positions[-1]) + 1], int(positions[0])  # nothing behind the last question matters
        most = min(len(self.known), first)  # the logits behind `first` come from reading it
        different = np.flatnonzero(self.known[:most] != ids[:most])
        shared = int(different[0]) if len(different) else most
        begin = shared if shared >= LEAST_SHARED and self.adapter.keep(shared) else 0
        self.known = self.known[:0]
        if apart and begin < first:
            for _ in self.adapter.rows(ids[:first], positions[:1] - 1, begin):
                pass
            begin = first
        yield from self.adapter.rows(ids, positions, begin)
        self.known = ids

    def on_score(self, request, payload):
        numbers = np.frombuffer(payload, "<i4")
        ids, (positions, targets) = numbers[: request["length"]], np.split(numbers[request["length"] :], 2)
        values, greedy = np.empty(len(targets), "<f8"), np.empty(len(targets), np.uint8)
        # Several questions may be about one position; the runtime answers each once.
        for part, logits in self.rows(ids, np.unique(positions), apart=True):
            inside = np.isin(positions, part)
            asked = logits[np.searchsorted(part, positions[inside])]
            values[inside] = log_softmax_at(asked, targets[inside])
            greedy[inside] = asked.argmax(axis=-1) == targets[inside]
        self.channel.write({"ok": True}, values.tobytes() + greedy.tobytes())

    def on_rows(self, request, payload):
        numbers = np.frombuffer(payload, "<i4")
        ids, positions = numbers[: request["length"]], numbers[request["length"] :]
        for _, logits in self.rows(ids, positions):
            step = max(1, LARGEST_PART // (4 * logits.shape[1]))
            for begin in range(0, len(logits), step):
                part = np.ascontiguousarray(logits[begin : begin + step], "<f4")
                self.channel.write({"ok": True, "rows": len(part)}, part.tobytes())

    def on_generate(self, request, payload):
        ids, out, at = np.frombuffer(payload, "<i4"), [], 0
        self.random = np.random.default_rng(request["seed"])
        for length in request["lengths"]:
            for _, logits in self.rows(ids[at : at + length], np.array([length - 1])):
                self.logits, self.last = logits.copy(), None
            out.append(self.new_ids(request))
            at += length
        self.write_texts(out)

    def on_continue(self, request, payload):
        """More of the last text."""
        self.write_texts([self.new_ids(request)])

    def new_ids(self, request):
        made, stop = [], set(request["stop"])
        while len(made) < request["max_new_tokens"]:
            logits = self.logits if self.last is None else self.adapter.step(self.last)
            chosen = choose(logits, request, self.random)
            if int(chosen[0]) in stop:
                break
            made.append(int(chosen[0]))
            self.last = chosen
        return np.array(made, "<i4")

    def write_texts(self, texts):
        self.channel.write({"ok": True, "lengths": [len(ids) for ids in texts]}, b"".join(ids.tobytes() for ids in texts))

    def on_prefill(self, request, payload):
        prompts = np.frombuffer(payload, "<i4").reshape(request["batch"], -1)
        self.known = self.known[:0]
        begin = time.perf_counter()
        self.next_ids = choose(self.adapter.prefill(prompts), {}, None)
        self.channel.write({"ok": True, "seconds": time.perf_counter() - begin})

    def on_decode(self, request, payload):
        ids, seconds = self.next_ids, []
        for _ in range(request["steps"]):
            begin = time.perf_counter()
            ids = choose(self.adapter.step(ids), {}, None)
            seconds.append(time.perf_counter() - begin)
        self.adapter.rewind()
        self.channel.write({"ok": True}, np.array(seconds, "<f8").tobytes())
