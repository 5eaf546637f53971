#include "artifact/special_ids.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace frugal::artifact {
namespace {

constexpr std::string_view kEndOfMessage = "<|eom_id|>";

// Pieces that end a turn; llama.cpp's list (llama-vocab.cpp) and spellings beside it.
constexpr std::array<std::string_view, 14> kEndsOfTurn = {"<|eot_id|>",
                                                          "<|im_end|>",
                                                          "<|end|>",
                                                          "<end_of_turn>",
                                                          "<|end_of_turn|>",
                                                          "<|endofturn|>",
                                                          "<|EOT|>",
                                                          "<EOT>",
                                                          "< EOT >",
                                                          "_<EOT>",
                                                          "[EOT]",
                                                          "<|eot|>",
                                                          "<end_of_utterance>",
                                                          "<|turn_end|>"};

// Pieces that llama.cpp stops at wherever it finds them, without any key.
constexpr std::array<std::string_view, 17> kKnownEnds = {"<|eot_id|>",
                                                         "<|im_end|>",
                                                         "<|end|>",
                                                         "<|return|>",
                                                         "<|call|>",
                                                         "<|flush|>",
                                                         "<|calls|>",
                                                         "<end_of_turn>",
                                                         "<|endoftext|>",
                                                         "</s>",
                                                         "<|eom_id|>",
                                                         "<EOT>",
                                                         "_<EOT>",
                                                         "[EOT]",
                                                         "[EOS]",
                                                         "<|end_of_text|>",
                                                         "<end_of_utterance>"};

template <size_t N>
bool is_one_of(const std::array<std::string_view, N>& list, std::string_view piece) {
  return std::find(list.begin(), list.end(), piece) != list.end();
}

std::string_view piece_of(const text::Vocabulary& vocabulary, int64_t id) {
  return id < static_cast<int64_t>(vocabulary.pieces.size())
             ? std::string_view(vocabulary.pieces[static_cast<size_t>(id)])
             : std::string_view();
}

bool is_control(const text::Vocabulary& vocabulary, int64_t id) {
  return id < static_cast<int64_t>(vocabulary.types.size()) &&
         vocabulary.types[static_cast<size_t>(id)] == text::PieceType::kControl;
}

}  // namespace

absl::Status check_given_ids(const std::vector<int64_t>& given, int64_t rows) {
  for (const int64_t id : given) {
    if (id >= 0 && id < rows) continue;
    return base::invalid_argument("eos_token_id = ", id, " is no id of the model, which has 0 to ",
                                  rows - 1);
  }
  return absl::OkStatus();
}

SpecialIds special_ids(const architecture::ModelConfig& config, const text::Vocabulary& vocabulary,
                       const std::vector<int64_t>& given) {
  SpecialIds ids;
  if (vocabulary.add_bos && vocabulary.bos.has_value()) {
    ids.bos = *vocabulary.bos;
  } else if (!config.bos_token_ids.empty()) {
    ids.bos = config.bos_token_ids.front();
  } else if (vocabulary.bos.has_value()) {
    ids.bos = *vocabulary.bos;
  }
  ids.eos = given.empty() ? config.eos_token_ids : given;
  if (given.empty() && vocabulary.eos.has_value() &&
      std::find(ids.eos.begin(), ids.eos.end(), *vocabulary.eos) == ids.eos.end())
    ids.eos.push_back(*vocabulary.eos);
  if (config.pad_token_id.has_value()) {
    ids.pad = config.pad_token_id;
  } else if (vocabulary.padding.has_value()) {
    ids.pad = *vocabulary.padding;
  }
  return ids;
}

GgufEnds gguf_ends(const std::vector<int64_t>& eos, const text::Vocabulary& vocabulary) {
  GgufEnds ends;
  if (eos.empty()) return ends;
  ends.eos = eos.front();
  std::vector<int64_t> rest(eos.begin() + 1, eos.end());
  const auto take = [&](const auto& fits) -> std::optional<int64_t> {
    const auto found = std::find_if(rest.begin(), rest.end(), fits);
    if (found == rest.end()) return std::nullopt;
    const int64_t id = *found;
    rest.erase(found);
    return id;
  };
  ends.eot = take([&](int64_t id) { return is_one_of(kEndsOfTurn, piece_of(vocabulary, id)); });
  ends.eom = take([&](int64_t id) { return piece_of(vocabulary, id) == kEndOfMessage; });
  std::erase_if(rest, [&](int64_t id) { return is_one_of(kKnownEnds, piece_of(vocabulary, id)); });
  // A model's own spelling: a control piece that ends texts beside EOS ends a turn.
  if (!ends.eot) ends.eot = take([&](int64_t id) { return is_control(vocabulary, id); });
  ends.left_out = std::move(rest);
  return ends;
}

}  // namespace frugal::artifact
