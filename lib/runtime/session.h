// An artifact open in the runtime that serves it.
//
//   auto session = Session::open(*find_runtime("llama.cpp"), "m.gguf", {.context = 512});
//   auto scores = session->score(sequences);
//
// Every call waits for its answer. Errors of all of them: the runtime refuses (in its words), has
// crashed (with the end of what it said), says nothing for half an hour, gives other sizes than
// asked for, or the user interrupts; of score and decode, numbers that are not finite, too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "runtime/catalog.h"
#include "text/tokenizer.h"

namespace frugal::runtime {

using text::TokenId;

// ln p(target | ids[0..position]).
struct Query {
  int64_t position = 0;
  TokenId target = 0;
};
struct Sequence {
  std::vector<TokenId> ids;
  std::vector<Query> queries;
};

// Of the queries of a sequence, in their order.
struct Scores {
  std::vector<double> log_probabilities;  // natural
  std::vector<bool> greedy;               // the target is the most probable id
};

struct SessionOptions {
  int64_t context = 0;    // positions that one sequence takes at most
  int64_t sequences = 1;  // that run together
  int threads = 0;        // 0: default_threads()
  // Keys and values in fp32 and no fused attention, where the runtime has a choice: for
  // comparisons. Users get the runtime's own defaults.
  bool exact_cache = false;
};

// OMP_NUM_THREADS where it is set, else the CPUs that this process may use.
int default_threads();

struct SessionInfo {
  std::string runtime;  // "llama.cpp"
  std::string version;  // "xllamacpp 2026.10.11549"
  int64_t vocabulary = 0;
  int64_t context = 0;  // that the model was made for
  int64_t threads = 0;
  base::Json settings;  // what else the adapter says of itself
};
base::Json to_json(const SessionInfo& info);

struct GenerateOptions {
  int64_t max_new_tokens = 64;
  double temperature = 0.0;  // 0: greedy
  double top_p = 1.0;
  uint64_t seed = 1;
  std::vector<TokenId> stop = {};  // ids that end a text; not returned
  // Whether a text is at its end; asked every few ids, all of which are returned.
  std::function<bool(std::span<const TokenId> ids)> ends = nullptr;
};

class Session {
 public:
  // Errors besides: the runtime is not installed, with the remedy.
  static absl::StatusOr<Session> open(const Runtime& runtime, const std::filesystem::path& artifact,
                                      const SessionOptions& options);
  // With an adapter of one's own, for tests.
  static absl::StatusOr<Session> start(std::string name, const std::vector<std::string>& command,
                                       const std::filesystem::path& artifact,
                                       const SessionOptions& options);

  const SessionInfo& info() const { return info_; }

  // What a sequence shares with the one before it is not computed again.
  absl::StatusOr<std::vector<Scores>> score(std::span<const Sequence> sequences);

  // Logits, up to a constant for each position, of the ascending `positions` of one sequence:
  // `use(begin, rows)` gets them in parts, rows [n, V] of positions begin..begin+n-1 of the list.
  absl::Status rows(
      std::span<const TokenId> ids, std::span<const int64_t> positions,
      const std::function<absl::Status(int64_t begin, std::span<const float> rows)>& use);

  // New ids for each prompt, one prompt after the other.
  absl::StatusOr<std::vector<std::vector<TokenId>>> generate(
      std::span<const std::vector<TokenId>> prompts, const GenerateOptions& options);

  // Reads `batch` prompts of equal length, behind each other in `ids`, into an empty cache and
  // picks the first new id of each. Seconds as the adapter took them.
  absl::StatusOr<double> prefill(int64_t batch, std::span<const TokenId> ids);
  // `steps` further greedy ids of each of the last prefill's prompts; the cache is left as prefill
  // left it. Seconds of each step.
  absl::StatusOr<std::vector<double>> decode(int64_t steps);

  std::optional<int64_t> peak_resident_bytes() const;
  double cpu_seconds() const;  // of the runtime's process

 private:
  struct State;
  absl::StatusOr<std::vector<std::vector<TokenId>>> new_ids(base::Json request,
                                                            const std::vector<int32_t>& ids,
                                                            size_t texts);
  absl::StatusOr<std::vector<TokenId>> generate_to_end(const std::vector<TokenId>& prompt,
                                                       const GenerateOptions& options);
  Session(std::shared_ptr<State> state, SessionInfo info);
  std::shared_ptr<State> state_;
  SessionInfo info_;
};

}  // namespace frugal::runtime
