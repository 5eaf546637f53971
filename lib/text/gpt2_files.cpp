#include <array>

#include "base/file.h"
#include "base/file_kind.h"
#include "text/origins.h"
#include "text/tokenizer_json.h"

namespace frugal::text {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

struct Family {
  std::string_view tokenizer_class;  // without "Fast"
  std::string_view model_type;
  std::string_view pre_tokenizer;
  bool nfc;
};
constexpr std::array kFamilies = {
    Family{"GPT2Tokenizer", "gpt2", "gpt-2", false},
    Family{"Qwen2Tokenizer", "qwen2", "qwen2", true},
    Family{"Qwen2Tokenizer", "qwen3", "qwen2", true},
};

const Family* find_family(const FolderTokens& tokens) {
  for (const Family& family : kFamilies) {
    const std::string fast = base::str_cat(family.tokenizer_class, "Fast");
    if (tokens.tokenizer_class == family.tokenizer_class || tokens.tokenizer_class == fast)
      return &family;
    if (tokens.tokenizer_class.empty() && tokens.model_type == family.model_type) return &family;
  }
  return nullptr;
}

absl::Status read_merges(const std::filesystem::path& path, TokenizerDefinition& definition) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string content, base::read_file(path, kMaxFileBytes));
  FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(content, path));
  int64_t line_number = 0;
  for (size_t at = 0; at < content.size();) {
    const size_t end = std::min(content.find('\n', at), content.size());
    std::string_view line = std::string_view(content).substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (line_number == 1 && line.starts_with("#version"))) continue;
    const size_t space = line.find(' ');
    if (space == line.npos || space == 0 || space + 1 == line.size() ||
        line.find(' ', space + 1) != line.npos) {
      return base::invalid_argument(path.string(), ":", line_number,
                                    ": expected two pieces with a space between");
    }
    definition.merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerDefinition> read_gpt2_files(const std::filesystem::path& vocabulary,
                                                    const std::filesystem::path& merges,
                                                    const FolderTokens& tokens) {
  const Family* family = find_family(tokens);
  if (family == nullptr) {
    return base::invalid_argument(
        vocabulary.string(), ": tokenizer_config.json must say which tokenizer_class this is ",
        "(found '", tokens.tokenizer_class, "'; expected GPT2Tokenizer or Qwen2Tokenizer): ",
        "vocab.json and merges.txt do not hold the pre-tokenizer");
  }
  TokenizerDefinition definition;
  FRUGAL_ASSIGN_OR_RETURN(const base::Json json, base::read_json(vocabulary, kMaxFileBytes));
  FRUGAL_ASSIGN_OR_RETURN(definition.pieces, parse_vocabulary(json, vocabulary.string()));
  FRUGAL_RETURN_IF_ERROR(read_merges(merges, definition));
  if (family->nfc) definition.normalizer = {{"type", "NFC"}};
  definition.pre_tokenizer = byte_level_pre_tokenizer(pre_tokenizer_pattern(family->pre_tokenizer));
  definition.decoder = byte_level_decoder();
  // GPT-2's own special token is part of vocab.json and of no list.
  constexpr std::string_view kEndOfText = "<|endoftext|>";
  const bool listed =
      std::any_of(tokens.added.begin(), tokens.added.end(),
                  [&](const AddedToken& token) { return token.content == kEndOfText; });
  for (size_t id = 0; id < definition.pieces.size() && !listed; ++id) {
    if (definition.pieces[id] != kEndOfText) continue;
    definition.added.push_back(
        {static_cast<TokenId>(id), std::string(kEndOfText), false, false, false, false, true});
  }
  return definition;
}

}  // namespace frugal::text
