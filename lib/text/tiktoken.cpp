#include <array>
#include <charconv>
#include <span>

#include "text/base64.h"
#include "text/byte_level.h"
#include "text/origins.h"

namespace frugal::text {
namespace {

constexpr size_t kMaxRanks = 1 << 21;

struct Reserved {
  TokenId id;
  std::string_view content;
};

constexpr std::array kGpt2Reserved = {Reserved{50256, "<|endoftext|>"}};
constexpr std::array kCl100kReserved = {
    Reserved{100257, "<|endoftext|>"}, Reserved{100258, "<|fim_prefix|>"},
    Reserved{100259, "<|fim_middle|>"}, Reserved{100260, "<|fim_suffix|>"},
    Reserved{100276, "<|endofprompt|>"}};
constexpr std::array kO200kReserved = {Reserved{199999, "<|endoftext|>"},
                                       Reserved{200018, "<|endofprompt|>"}};

// The files hold only ranks. A published vocabulary is known by their number.
struct Published {
  size_t ranks;
  std::string_view pre_tokenizer;
  std::span<const Reserved> reserved;  // empty: Llama 3's 256
};
constexpr size_t kLlama3Ranks = 128000;
constexpr std::array kPublished = {
    Published{kLlama3Ranks, "llama-bpe", {}},
    Published{50256, "gpt-2", kGpt2Reserved},
    Published{50280, "gpt-2", kGpt2Reserved},  // p50k_base: 24 runs of spaces behind GPT-2's
    // cl100k_base is Llama 3's pattern with possessive quantifiers, which match the same.
    Published{100256, "llama-bpe", kCl100kReserved},
    Published{199998, "gpt-4o", kO200kReserved},
};

struct RankedBytes {
  std::string bytes;
  size_t rank;
};

std::optional<RankedBytes> parse_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const size_t space = line.find(' ');
  if (space == line.npos) return std::nullopt;
  std::optional<std::string> bytes = decode_base64(line.substr(0, space));
  const std::string_view number = line.substr(space + 1);
  size_t rank = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), rank);
  if (!bytes || error != std::errc() || end != number.data() + number.size() || rank >= kMaxRanks)
    return std::nullopt;
  return RankedBytes{*std::move(bytes), rank};
}

absl::StatusOr<std::vector<std::string>> parse_ranks(std::string_view content,
                                                     std::string_view where) {
  std::vector<std::string> by_rank;
  size_t line_number = 0;
  for (size_t at = 0; at < content.size();) {
    const size_t end = std::min(content.find('\n', at), content.size());
    const std::string_view line = content.substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (line.empty() || line == "\r") continue;
    std::optional<RankedBytes> entry = parse_line(line);
    if (!entry)
      return base::invalid_argument(where, ":", line_number,
                                    ": expected base64 bytes, a space and a rank");
    if (entry->rank >= by_rank.size()) by_rank.resize(entry->rank + 1);
    if (!by_rank[entry->rank].empty()) {
      return base::invalid_argument(where, ":", line_number, ": the rank ", entry->rank,
                                    " stands twice");
    }
    by_rank[entry->rank] = std::move(entry->bytes);
  }
  return by_rank;
}

// Which published vocabulary this is; ranks that it reserves may be missing, and no others.
absl::StatusOr<const Published*> find_published(const std::vector<std::string>& by_rank,
                                                std::string_view where) {
  std::vector<size_t> missing;
  for (size_t rank = 0; rank < by_rank.size(); ++rank) {
    if (by_rank[rank].empty()) missing.push_back(rank);
  }
  const size_t count = by_rank.size() - missing.size();
  for (const Published& entry : kPublished) {
    if (entry.ranks != count) continue;
    for (const size_t rank : missing) {
      const bool reserved =
          std::any_of(entry.reserved.begin(), entry.reserved.end(),
                      [&](const Reserved& token) { return static_cast<size_t>(token.id) == rank; });
      if (!reserved) return base::invalid_argument(where, ": the rank ", rank, " is missing");
    }
    return &entry;
  }
  return base::unimplemented(
      where, ": ", count, " tiktoken ranks, the pattern for which is not known; ",
      "known: 128000 (Llama 3), 50256, 50280, 100256, 199998 (OpenAI). Use the model's "
      "tokenizer.json");
}

// Every way to join two pieces into a third, ordered by the third's rank and then by the parts' (as
// transformers' converter): applying the lowest rank first is what tiktoken does.
void derive_merges(const std::vector<std::string>& by_rank, TokenizerDefinition& definition) {
  base::string_map<size_t> ranks;
  ranks.reserve(by_rank.size());
  for (size_t rank = 0; rank < by_rank.size(); ++rank) ranks.emplace(by_rank[rank], rank);
  for (size_t rank = 0; rank < by_rank.size(); ++rank) {
    const std::string_view bytes = by_rank[rank];
    std::vector<std::pair<size_t, size_t>> local;
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      const auto left = ranks.find(bytes.substr(0, cut));
      const auto right = ranks.find(bytes.substr(cut));
      if (left != ranks.end() && right != ranks.end())
        local.emplace_back(left->second, right->second);
    }
    std::sort(local.begin(), local.end());
    for (const auto& [left, right] : local) {
      definition.merges.emplace_back(definition.pieces[left], definition.pieces[right]);
    }
  }
}

// Llama 3.1's names of the 256 reserved ids (meta-llama/llama-models, tokenizer.py).
std::vector<AddedToken> llama3_reserved() {
  std::vector<std::string> names = {"<|begin_of_text|>",
                                    "<|end_of_text|>",
                                    "<|reserved_special_token_0|>",
                                    "<|reserved_special_token_1|>",
                                    "<|finetune_right_pad_id|>",
                                    "<|reserved_special_token_2|>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|eom_id|>",
                                    "<|eot_id|>",
                                    "<|python_tag|>"};
  for (int i = 3; names.size() < 256; ++i)
    names.push_back(base::str_cat("<|reserved_special_token_", i, "|>"));
  std::vector<AddedToken> added;
  for (size_t i = 0; i < names.size(); ++i) {
    added.push_back(
        {static_cast<TokenId>(kLlama3Ranks + i), names[i], false, false, false, false, true});
  }
  return added;
}

}  // namespace

bool looks_like_tiktoken(std::string_view content) {
  const std::string_view line = content.substr(0, content.find('\n'));
  return line.size() < 4096 && parse_line(line).has_value();
}

absl::StatusOr<TokenizerDefinition> read_tiktoken(std::string_view content,
                                                  std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<std::string> by_rank, parse_ranks(content, where));
  FRUGAL_ASSIGN_OR_RETURN(const Published* const published, find_published(by_rank, where));
  TokenizerDefinition definition;
  for (const std::string& bytes : by_rank) definition.pieces.push_back(to_byte_level(bytes));
  derive_merges(by_rank, definition);
  definition.ignore_merges = true;
  definition.pre_tokenizer =
      byte_level_pre_tokenizer(pre_tokenizer_pattern(published->pre_tokenizer));
  definition.decoder = byte_level_decoder();
  if (published->reserved.empty()) {
    definition.added = llama3_reserved();
    definition.post_processor = bos_template(definition.added[0].content, definition.added[0].id);
  }
  for (const Reserved& token : published->reserved) {
    definition.added.push_back(
        {token.id, std::string(token.content), false, false, false, false, true});
  }
  return definition;
}

}  // namespace frugal::text
