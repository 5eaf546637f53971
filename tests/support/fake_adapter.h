// An adapter of lib/runtime without any runtime behind it, in plain Python, and what it answers.
#pragma once

#include <cmath>
#include <cstdint>

namespace frugal::test {

// Its artifact is a file that says how large the vocabulary is. Behind an id all ids have the logit
// 0 but the next one, which has 2 (behind the last id the first one is next).
inline constexpr const char* kFakeAdapter = R"(
import json, math, struct, sys
source, target = sys.stdin.buffer, sys.stdout.buffer
def answer(message, payload=b""):
    target.write(json.dumps({"ok": True, **message, "bytes": len(payload)}).encode() + b"\n" + payload)
    target.flush()
def logits(id): return [2.0 if v == (id + 1) % V else 0.0 for v in range(V)]
while line := source.readline():
    request = json.loads(line)
    numbers = list(struct.unpack(f"<{request['bytes'] // 4}i", source.read(request["bytes"])))
    if request["op"] == "open":
        V = int(open(request["path"]).read())
        norm = math.log(math.exp(2) + V - 1)
        answer({"runtime": "llama.cpp", "version": "xllamacpp 9", "vocabulary": V, "context": 4096, "threads": request["threads"],
                "settings": {"context": request["context"], "sequences": request["sequences"]}})
    elif request["op"] == "score":
        n = request["length"]
        ids, count = numbers[:n], (len(numbers) - n) // 2
        asked = list(zip(numbers[n : n + count], numbers[n + count :]))
        out = [logits(ids[p])[t] - norm for p, t in asked]
        greedy = bytes(t == (ids[p] + 1) % V for p, t in asked)
        answer({}, struct.pack(f"<{count}d", *out) + greedy)
    elif request["op"] == "rows":
        for p in numbers[request["length"] :]:
            answer({"rows": 1}, struct.pack(f"<{V}f", *logits(numbers[p])))
    elif request["op"] == "generate":
        out, at = [], 0
        for length in request["lengths"]:
            last, made = numbers[at + length - 1], []
            while len(made) < request["max_new_tokens"] and (last + 1) % V not in request["stop"]:
                last = (last + 1) % V
                made.append(last)
            out.append(made)
            at += length
        flat = sum(out, [])
        answer({"lengths": [len(made) for made in out]}, struct.pack(f"<{len(flat)}i", *flat))
    elif request["op"] == "continue":
        made = []
        while len(made) < request["max_new_tokens"] and (last + 1) % V not in request["stop"]:
            last = (last + 1) % V
            made.append(last)
        answer({"lengths": [len(made)]}, struct.pack(f"<{len(made)}i", *made))
    elif request["op"] == "prefill":
        answer({"seconds": 0.25})
    elif request["op"] == "decode":
        answer({}, struct.pack(f"<{request['steps']}d", *([0.5] * request["steps"])))
)";

// Its ln p(target) behind `id`.
inline double fake_log_p(int64_t id, int64_t target, int64_t vocabulary) {
  const double norm = std::log(std::exp(2.0) + static_cast<double>(vocabulary) - 1);
  return ((id + 1) % vocabulary == target ? 2.0 : 0.0) - norm;
}

}  // namespace frugal::test
