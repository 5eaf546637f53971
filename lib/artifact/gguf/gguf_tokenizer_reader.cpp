#include "artifact/gguf/gguf_tokenizer_reader.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "text/pre_tokenizer.h"
#include "text/score_merges.h"

namespace frugal::artifact {
namespace {

using base::Json;
using base::str_cat;
using text::PieceType;
using text::TokenId;

constexpr std::string_view kPrefix = "tokenizer.ggml.";
constexpr std::string_view kTemplate = "tokenizer.chat_template";
// Of pieces with scores, which are cut at every character; published ones have at most some
// hundreds.
constexpr size_t kLongestPiece = 4096;
constexpr const char* kSpaceMark = "\xE2\x96\x81";  // U+2581 "▁"

Json replace_json(const char* from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

class Reader {
 public:
  Reader(const GgufValues& values, int64_t rows) : values_(values), rows_(rows) {}

  absl::StatusOr<GgufTokenizer> read() {
    FRUGAL_RETURN_IF_ERROR(read_pieces());
    FRUGAL_ASSIGN_OR_RETURN(const auto kind, values_.text(key("model")));
    if (!kind) return refused("the key '", key("model"), "' is missing");
    if (*kind == "gpt2") {
      FRUGAL_RETURN_IF_ERROR(read_byte_level());
    } else if (*kind == "llama") {
      FRUGAL_RETURN_IF_ERROR(read_sentencepiece());
    } else {
      return base::unimplemented(values_.where(), ": its tokenizer is of the kind '",
                                 kind->substr(0, 80),
                                 "'; frugal reads gpt2 (byte-level BPE) and llama (SentencePiece)");
    }
    FRUGAL_RETURN_IF_ERROR(read_added());
    FRUGAL_RETURN_IF_ERROR(read_special());
    FRUGAL_RETURN_IF_ERROR(read_templates());
    return std::move(result_);
  }

 private:
  template <typename... Parts>
  absl::Status refused(const Parts&... parts) const {
    return base::invalid_argument(values_.where(), ": ", parts...);
  }
  static std::string key(std::string_view name) { return str_cat(kPrefix, name); }

  absl::Status read_pieces() {
    FRUGAL_ASSIGN_OR_RETURN(const auto* const pieces, values_.texts(key("tokens")));
    if (pieces == nullptr) {
      return refused("it has no tokenizer (the key '", key("tokens"),
                     "' is missing); take a file that carries one");
    }
    if (static_cast<int64_t>(pieces->size()) != rows_) {
      return refused("'", key("tokens"), "' has ", pieces->size(),
                     " pieces, but the embedding has ", rows_, " rows");
    }
    pieces_ = *pieces;
    if (const auto empty = std::find(pieces_.begin(), pieces_.end(), ""); empty != pieces_.end())
      return refused("the piece with id ", empty - pieces_.begin(), " of '", key("tokens"),
                     "' is empty");
    types_.assign(pieces_.size(), PieceType::kNormal);
    FRUGAL_ASSIGN_OR_RETURN(const auto types, values_.integers(key("token_type")));
    if (!types) return absl::OkStatus();
    if (types->size() != pieces_.size()) return wrong_length("token_type", types->size());
    for (size_t id = 0; id < types->size(); ++id) {
      const int64_t type = (*types)[id];
      if (type < 0 || type > 6) {
        return refused("'", key("token_type"), "' of id ", id, " is ", type, ", expected 1 to 6");
      }
      // 0, "undefined", is what old writers gave to ordinary pieces.
      if (type != 0) types_[id] = static_cast<PieceType>(type);
    }
    return absl::OkStatus();
  }
  absl::Status wrong_length(std::string_view name, size_t found) const {
    return refused("'", key(name), "' has ", found, " entries, '", key("tokens"), "' has ",
                   pieces_.size());
  }

  // Rows without a piece, which the writer gave a name: as Hugging Face files leave them out.
  bool is_hole(size_t id) const {
    return types_[id] == PieceType::kUnused && pieces_[id] == str_cat("[PAD", id, "]");
  }
  void take_pieces() {
    std::vector<std::string>& taken = result_.definition.pieces;
    taken = pieces_;
    for (size_t id = 0; id < taken.size(); ++id) {
      if (is_hole(id)) taken[id].clear();
    }
    while (!taken.empty() && taken.back().empty()) taken.pop_back();
  }

  absl::Status read_byte_level() {
    take_pieces();
    FRUGAL_ASSIGN_OR_RETURN(const auto name, values_.text(key("pre")));
    if (!name) {
      return refused("the key '", key("pre"),
                     "' is missing, and without it nobody knows how this "
                     "tokenizer cuts texts; take a newer file of the model");
    }
    auto pre = text::named_pre_tokenizer(*name);
    if (!pre.ok()) return base::annotate(pre.status(), values_.where());
    add_bos_ = pre->add_bos;
    result_.definition.pre_tokenizer = std::move(pre->component);
    result_.definition.ignore_merges = pre->ignore_merges;
    result_.definition.decoder = text::byte_level_decoder();
    FRUGAL_ASSIGN_OR_RETURN(const auto architecture, values_.text("general.architecture"));
    // Qwen's own tokenizer composes characters first; llama.cpp has no word for it.
    if (architecture.value_or("").starts_with("qwen"))
      result_.definition.normalizer = {{"type", "NFC"}};
    FRUGAL_ASSIGN_OR_RETURN(const auto* const merges, values_.texts(key("merges")));
    if (merges == nullptr) return refused("the key '", key("merges"), "' is missing");
    for (const std::string& merge : *merges) {
      // A piece may begin with a space in no alphabet of bytes: the first space parts the two.
      const size_t space = merge.find(' ', 1);
      if (space == std::string::npos || space + 1 == merge.size()) {
        return refused("merge ", result_.definition.merges.size(), " of '", key("merges"), "' is '",
                       merge.substr(0, 80), "', expected two pieces and a space between");
      }
      result_.definition.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
    }
    return absl::OkStatus();
  }

  absl::Status read_sentencepiece() {
    take_pieces();
    add_bos_ = true;  // llama.cpp's default of this kind
    FRUGAL_ASSIGN_OR_RETURN(const auto* const scores, values_.floats(key("scores")));
    if (scores == nullptr) return refused("the key '", key("scores"), "' is missing");
    if (scores->size() != pieces_.size()) return wrong_length("scores", scores->size());
    for (size_t id = 0; id < scores->size(); ++id) {
      if (!std::isfinite((*scores)[id]))
        return refused("'", key("scores"), "' of id ", id, " is no number");
    }
    for (size_t id = 0; id < pieces_.size(); ++id) {
      if (pieces_[id].size() > kLongestPiece) {
        return refused("the piece with id ", id, " has ", pieces_[id].size(), " bytes; at most ",
                       kLongestPiece, " are read");
      }
    }
    text::TokenizerDefinition& definition = result_.definition;
    std::vector<PieceType> types = types_;
    for (size_t id = 0; id < types.size(); ++id) {
      if (is_hole(id)) types[id] = PieceType::kControl;  // no text becomes one
    }
    definition.merges = text::merges_of_scores(pieces_, *scores, types);
    definition.byte_fallback =
        std::find(types_.begin(), types_.end(), PieceType::kByte) != types_.end();
    definition.fuse_unknown = true;
    FRUGAL_ASSIGN_OR_RETURN(const auto unknown, id_of("unknown"));
    const auto typed = std::find(types_.begin(), types_.end(), PieceType::kUnknown);
    if (unknown) {
      definition.unknown_piece = pieces_[static_cast<size_t>(*unknown)];
    } else if (typed != types_.end()) {
      definition.unknown_piece = pieces_[static_cast<size_t>(typed - types_.begin())];
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto prefix, values_.boolean(key("add_space_prefix")));
    set_components(prefix.value_or(true));
    return absl::OkStatus();
  }

  void set_components(bool space_prefix) {
    text::TokenizerDefinition& definition = result_.definition;
    Json spaces = replace_json(" ", kSpaceMark);
    Json steps = Json::array(
        {replace_json(kSpaceMark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
    if (space_prefix) {
      Json prepend = {{"type", "Prepend"}, {"prepend", kSpaceMark}};
      definition.normalizer = {{"type", "Sequence"},
                               {"normalizers", Json::array({std::move(prepend), spaces})}};
      steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    } else {
      definition.normalizer = std::move(spaces);
    }
    definition.decoder = {{"type", "Sequence"}, {"decoders", std::move(steps)}};
  }

  // llama.cpp's rule for Phi-3, whose files do not say that its control pieces swallow the space
  // behind them (llama-vocab.cpp).
  absl::StatusOr<bool> strips_behind_control() const {
    FRUGAL_ASSIGN_OR_RETURN(const auto name, values_.text("general.name"));
    std::string lower = name.value_or("");
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return lower.find("phi-3") != std::string::npos || lower.find("phi3") != std::string::npos;
  }

  absl::Status read_added() {
    FRUGAL_ASSIGN_OR_RETURN(const bool strips, strips_behind_control());
    for (size_t id = 0; id < types_.size(); ++id) {
      const PieceType type = types_[id];
      const bool special = type == PieceType::kControl || type == PieceType::kUnknown;
      if (!special && type != PieceType::kUserDefined) continue;
      const std::string& piece = pieces_[id];
      const bool keeps = piece == "<unk>" || piece == "<s>" || piece == "<|endoftext|>";
      result_.definition.added.push_back({.id = static_cast<TokenId>(id),
                                          .content = piece,
                                          .rstrip = strips && special && !keeps,
                                          .special = special});
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<TokenId>> id_of(std::string_view name) const {
    FRUGAL_ASSIGN_OR_RETURN(const auto id, values_.integer(key(str_cat(name, "_token_id"))));
    if (!id) return std::nullopt;
    if (*id < 0 || *id >= static_cast<int64_t>(pieces_.size())) {
      return refused("'", key(name), "_token_id' is ", *id, ", but there are ", pieces_.size(),
                     " pieces");
    }
    return static_cast<TokenId>(*id);
  }

  absl::Status read_special() {
    const auto named = [&](std::string_view name,
                           std::optional<std::string>& into) -> absl::Status {
      FRUGAL_ASSIGN_OR_RETURN(const auto id, id_of(name));
      if (id && !is_hole(static_cast<size_t>(*id))) into = pieces_[static_cast<size_t>(*id)];
      return absl::OkStatus();
    };
    text::SpecialTokens& special = result_.special;
    FRUGAL_RETURN_IF_ERROR(named("bos", special.bos));
    FRUGAL_RETURN_IF_ERROR(named("eos", special.eos));
    FRUGAL_RETURN_IF_ERROR(named("unknown", special.unknown));
    FRUGAL_RETURN_IF_ERROR(named("padding", special.padding));
    FRUGAL_ASSIGN_OR_RETURN(const auto add_bos, values_.boolean(key("add_bos_token")));
    FRUGAL_ASSIGN_OR_RETURN(const auto add_eos, values_.boolean(key("add_eos_token")));
    special.add_bos = add_bos.value_or(add_bos_) && special.bos.has_value();
    special.add_eos = add_eos.value_or(false) && special.eos.has_value();
    if (!*special.add_bos && !*special.add_eos) return absl::OkStatus();
    const auto token = [&](std::string_view name) -> absl::StatusOr<text::NamedToken> {
      FRUGAL_ASSIGN_OR_RETURN(const auto id, id_of(name));
      return text::NamedToken{pieces_[static_cast<size_t>(*id)], *id};
    };
    std::optional<text::NamedToken> front, behind;
    if (*special.add_bos) {
      FRUGAL_ASSIGN_OR_RETURN(front, token("bos"));
    }
    if (*special.add_eos) {
      FRUGAL_ASSIGN_OR_RETURN(behind, token("eos"));
    }
    result_.definition.post_processor = text::affix_template(front, behind);
    return absl::OkStatus();
  }

  absl::Status read_templates() {
    FRUGAL_ASSIGN_OR_RETURN(const auto main, values_.text(kTemplate));
    auto& sources = result_.special.chat.sources;
    if (main && !main->empty()) sources.emplace_back("default", *main);
    const std::string prefix = str_cat(kTemplate, ".");
    for (const auto& [name, value] : values_.file().metadata()) {
      if (!name.starts_with(prefix)) continue;
      FRUGAL_ASSIGN_OR_RETURN(const auto text, values_.text(name));
      sources.emplace_back(name.substr(prefix.size()), *text);
    }
    return absl::OkStatus();
  }

  const GgufValues& values_;
  int64_t rows_;
  std::vector<std::string> pieces_;
  std::vector<PieceType> types_;
  bool add_bos_ = false;  // where the file does not say
  GgufTokenizer result_;
};

}  // namespace

absl::StatusOr<GgufTokenizer> read_gguf_tokenizer(const GgufValues& values, int64_t rows) {
  return Reader(values, rows).read();
}

}  // namespace frugal::artifact
