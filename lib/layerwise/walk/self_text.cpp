#include "layerwise/walk/self_text.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/random.h"
#include "base/text.h"
#include "layerwise/walk/estimate.h"
#include "model/decoder.h"
#include "model/generate.h"

namespace frugal::layerwise {
namespace {

using text::TokenId;
using Sequences = std::vector<std::vector<TokenId>>;

// Keys and values of the windows that are written side by side.
constexpr int64_t kCacheBytes = int64_t{1} << 30;
constexpr int64_t kMostRows = 64;

int64_t cache_bytes_per_token(const architecture::ModelConfig& config) {
  int64_t values = 0;
  for (const architecture::Layer& layer : config.layers)
    values += 2 * layer.attention.key_value_heads * layer.attention.head_size;
  return 4 * values;
}

int64_t rows_at_once(const architecture::ModelConfig& config, int64_t windows, int64_t length) {
  const int64_t fit = kCacheBytes / std::max<int64_t>(1, length * cache_bytes_per_token(config));
  return std::clamp<int64_t>(fit, 1, std::min(kMostRows, std::max<int64_t>(windows, 1)));
}

// Pieces of text: no control tokens, no bytes, nothing unused.
std::vector<TokenId> ordinary_pieces(const text::Vocabulary& vocabulary) {
  std::vector<TokenId> ids;
  for (size_t id = 0; id < vocabulary.types.size(); ++id) {
    if (vocabulary.types[id] == text::PieceType::kNormal) ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

// The beginnings of all windows.
absl::StatusOr<Sequences> beginnings(const text::Vocabulary& vocabulary,
                                     const SelfTextOptions& options) {
  const std::vector<TokenId> pieces = ordinary_pieces(vocabulary);
  if (pieces.empty()) {
    return base::invalid_argument(
        "the tokenizer has no ordinary pieces that a text could begin with; calibrate on a file");
  }
  base::RandomStream stream(options.seed, "self text/beginnings");
  Sequences result;
  for (int64_t i = 0; i < options.windows; ++i) {
    std::vector<TokenId>& window = result.emplace_back();
    if (vocabulary.add_bos && vocabulary.bos) window.push_back(*vocabulary.bos);
    window.push_back(pieces[stream.below(pieces.size())]);
  }
  return result;
}

std::string stamp_of(const format::Checkpoint& checkpoint, const SelfTextOptions& options) {
  return base::str_cat("self text 1 ", checkpoint.config().parameter_count(), " ", options.windows,
                       " ", options.length, " ", options.seed);
}

// What an earlier call wrote; nothing where it was another text.
absl::StatusOr<Sequences> restore(const SelfTextOptions& options, const std::string& stamp,
                                  int64_t vocabulary) {
  if (options.file.empty()) return Sequences{};
  FRUGAL_ASSIGN_OR_RETURN(const bool exists, base::exists(options.file));
  if (!exists) return Sequences{};
  const std::string where = options.file.string();
  FRUGAL_ASSIGN_OR_RETURN(const base::Json file, base::read_json(options.file));
  FRUGAL_ASSIGN_OR_RETURN(const auto found, base::json_get<std::string>(file, "stamp", where));
  if (found != stamp) return Sequences{};
  FRUGAL_ASSIGN_OR_RETURN(const auto windows, base::json_get<base::Json>(file, "windows", where));
  const auto is_id = [&](const base::Json& id) {
    return id.is_number_unsigned() && id.get<uint64_t>() < static_cast<uint64_t>(vocabulary);
  };
  const auto is_window = [&](const base::Json& window) {
    return window.is_array() && static_cast<int64_t>(window.size()) == options.length &&
           std::ranges::all_of(window, is_id);
  };
  if (!windows.is_array() || static_cast<int64_t>(windows.size()) > options.windows ||
      !std::ranges::all_of(windows, is_window))
    return base::failed(where, ": not windows of this model's ids; remove the file");
  return windows.get<Sequences>();
}

absl::Status save(const SelfTextOptions& options, const std::string& stamp,
                  const Sequences& windows) {
  if (options.file.empty()) return absl::OkStatus();
  const base::Json file = {{"stamp", stamp}, {"windows", windows}};
  return base::write_file_atomically(options.file, file.dump());
}

absl::Status write_missing(const format::Checkpoint& checkpoint, const Sequences& begun,
                           const SelfTextOptions& options, const std::string& stamp,
                           Sequences& windows) {
  FRUGAL_ASSIGN_OR_RETURN(const model::Decoder decoder,
                          model::Decoder::load(checkpoint, {.device = options.device}));
  const auto rows =
      static_cast<size_t>(rows_at_once(checkpoint.config(), options.windows, options.length));
  base::Progress progress(options.title, "tokens", options.windows * options.length);
  progress.advance(static_cast<int64_t>(windows.size()) * options.length);
  model::GenerateOptions how{.temperature = 1, .ignore_stop = true};
  how.max_new_tokens = options.length - static_cast<int64_t>(begun.front().size());
  how.on_token = [&](size_t, TokenId) { progress.advance(); };
  while (windows.size() < begun.size()) {
    const size_t first = windows.size(), last = std::min(begun.size(), first + rows);
    const Sequences prompts(begun.begin() + static_cast<std::ptrdiff_t>(first),
                            begun.begin() + static_cast<std::ptrdiff_t>(last));
    FRUGAL_ASSIGN_OR_RETURN(
        const Sequences written,
        model::generate(decoder, prompts, how,
                        base::RandomStream(options.seed, base::str_cat("self text/", first))));
    for (size_t i = 0; i < written.size(); ++i) {
      std::vector<TokenId>& window = windows.emplace_back(prompts[i]);
      window.insert(window.end(), written[i].begin(), written[i].end());
    }
    FRUGAL_RETURN_IF_ERROR(save(options, stamp, windows));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<text::Windows> write_self_text(const format::Checkpoint& checkpoint,
                                              const text::Tokenizer& tokenizer,
                                              const SelfTextOptions& options) {
  constexpr int64_t kShortest = 4;
  const architecture::ModelConfig& config = checkpoint.config();
  if (options.length < kShortest || options.length > config.context_length) {
    return base::invalid_argument("text that the model writes: windows of ", options.length,
                                  " tokens; expected ", kShortest, " to the model's context of ",
                                  config.context_length);
  }
  const std::string stamp = stamp_of(checkpoint, options);
  FRUGAL_ASSIGN_OR_RETURN(const Sequences begun, beginnings(tokenizer.vocabulary(), options));
  FRUGAL_ASSIGN_OR_RETURN(Sequences windows, restore(options, stamp, config.vocabulary_size));
  if (windows.size() < begun.size())
    FRUGAL_RETURN_IF_ERROR(write_missing(checkpoint, begun, options, stamp, windows));
  text::Windows result{.count = options.windows, .length = options.length};
  for (const auto& window : windows)
    result.ids.insert(result.ids.end(), window.begin(), window.end());
  result.stream_tokens = static_cast<int64_t>(result.ids.size());
  base::Sha256 hash;
  hash.add(std::string_view(reinterpret_cast<const char*>(result.ids.data()),
                            result.ids.size() * sizeof(TokenId)));
  result.text_sha256 = hash.hex();
  return result;
}

int64_t self_text_memory(const architecture::ModelConfig& config, int64_t windows, int64_t length) {
  if (windows == 0) return 0;
  const int64_t rows = rows_at_once(config, windows, length);
  // The cache grows by doubling; logits, their copy and the weights they are drawn by.
  return 4 * config.parameter_count() + 2 * rows * length * cache_bytes_per_token(config) +
         rows * config.vocabulary_size * 16;
}

double self_text_operations(const architecture::ModelConfig& config, int64_t tokens) {
  // Products with few rows read more than they multiply: about half the speed of many.
  constexpr double kFewRows = 2;
  return kFewRows * (estimate_forward_operations(config, tokens) +
                     2 * static_cast<double>(config.vocabulary_size * config.hidden_size) *
                         static_cast<double>(tokens));
}

}  // namespace frugal::layerwise
