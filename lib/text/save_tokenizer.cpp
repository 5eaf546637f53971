#include <system_error>

#include "base/file.h"
#include "base/json.h"
#include "text/definition.h"
#include "text/pipeline_tokenizer.h"

namespace frugal::text {
namespace {

using base::Json;

Json added_token_json(const AddedToken& token) {
  return {{"id", token.id},          {"content", token.content}, {"single_word", token.single_word},
          {"lstrip", token.lstrip},  {"rstrip", token.rstrip},   {"normalized", token.normalized},
          {"special", token.special}};
}

std::string quoted(const std::string& text) { return Json(text).dump(); }

// The two tables of the model in the layout of Json::dump(1), without a tree of half a million
// nodes in between.
std::string vocabulary_text(const std::vector<std::string>& pieces) {
  std::string text;
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].empty()) continue;
    text += base::str_cat(text.empty() ? "{\n" : ",\n", "   ", quoted(pieces[id]), ": ", id);
  }
  return text.empty() ? "{}" : text + "\n  }";
}

std::string merges_text(const std::vector<std::pair<std::string, std::string>>& merges) {
  std::string text;
  for (const auto& [left, right] : merges) {
    text += base::str_cat(text.empty() ? "[\n" : ",\n", "   [\n    ", quoted(left), ",\n    ",
                          quoted(right), "\n   ]");
  }
  return text.empty() ? "[]" : text + "\n  ]";
}

absl::StatusOr<std::string> tokenizer_text(const TokenizerDefinition& definition) {
  Json added = Json::array();
  for (const AddedToken& token : definition.added) added.push_back(added_token_json(token));
  const bool unknown = !definition.unknown_piece.empty();
  Json model = {{"type", "BPE"}, {"dropout", nullptr}};
  model["unk_token"] = unknown ? Json(definition.unknown_piece) : Json(nullptr);
  model["continuing_subword_prefix"] = nullptr;
  model["end_of_word_suffix"] = nullptr;
  model["fuse_unk"] = definition.fuse_unknown;
  model["byte_fallback"] = definition.byte_fallback;
  model["ignore_merges"] = definition.ignore_merges;
  model["vocab"] = nullptr;
  model["merges"] = nullptr;
  Json root = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  root["added_tokens"] = std::move(added);
  root["normalizer"] = definition.normalizer;
  root["pre_tokenizer"] = definition.pre_tokenizer;
  root["post_processor"] = definition.post_processor;
  root["decoder"] = definition.decoder;
  root["model"] = std::move(model);
  // Quotes inside of strings are escaped, so that this stands where the tables belong alone.
  constexpr std::string_view kPlace = "\"vocab\": null,\n  \"merges\": null";
  const std::string frame = root.dump(1);
  const size_t at = frame.rfind(kPlace);
  if (at == std::string::npos) return base::internal("tokenizer.json has no place for its tables");
  return base::str_cat(frame.substr(0, at), "\"vocab\": ", vocabulary_text(definition.pieces),
                       ",\n  \"merges\": ", merges_text(definition.merges),
                       frame.substr(at + kPlace.size()), "\n");
}

// One text, or a list where there are others than the model's own.
Json chat_template_json(const ChatTemplates& chat) {
  if (chat.sources.size() == 1 && chat.find("default") != nullptr) return *chat.find("default");
  Json list = Json::array();
  for (const auto& [name, text] : chat.sources)
    list.push_back({{"name", name}, {"template", text}});
  return list;
}

Json config_json(const TokenizerDefinition& definition, const SpecialTokens& special) {
  const auto name = [](const std::optional<std::string>& token) {
    return token ? Json(*token) : Json(nullptr);
  };
  Json decoder = Json::object();
  for (const AddedToken& token : definition.added) {
    Json entry = added_token_json(token);
    entry.erase("id");
    // Appended, not looked up: a table may have thousands.
    decoder.get_ref<Json::object_t&>().Container::emplace_back(std::to_string(token.id),
                                                               std::move(entry));
  }
  // PreTrainedTokenizerFast takes everything from tokenizer.json; a model's own class would put its
  // pattern in its place.
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  config["bos_token"] = name(special.bos);
  config["eos_token"] = name(special.eos);
  config["pad_token"] = name(special.padding);
  config["unk_token"] = name(special.unknown);
  config["add_bos_token"] = special.add_bos.value_or(false);
  config["add_eos_token"] = special.add_eos.value_or(false);
  config["added_tokens_decoder"] = std::move(decoder);
  if (!special.chat.sources.empty()) config["chat_template"] = chat_template_json(special.chat);
  return config;
}

absl::StatusOr<TokenizerDefinition> definition_of(const PipelineTokenizer& tokenizer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const TokenizerSource& source = tokenizer.parts().source;
  TokenizerDefinition definition{.added = tokenizer.parts().added,
                                 .normalizer = source.normalizer,
                                 .pre_tokenizer = source.pre_tokenizer,
                                 .post_processor = source.post_processor,
                                 .decoder = source.decoder};
  definition.ignore_merges = source.ignore_merges;
  definition.pieces = vocabulary.pieces;
  for (size_t id = 0; id < definition.pieces.size(); ++id) {
    if (!source.in_model[id]) definition.pieces[id].clear();
  }
  for (const std::string& merge : vocabulary.merges) {
    const size_t space = merge.find(' ');
    if (space == merge.npos || merge.find(' ', space + 1) != merge.npos)
      return base::internal("merge '", merge, "' is not a pair");
    definition.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return definition;
}

SpecialTokens special_of(const Vocabulary& vocabulary) {
  const auto name = [&](const std::optional<TokenId>& id) {
    return id ? std::optional(vocabulary.pieces[*id]) : std::nullopt;
  };
  return {.bos = name(vocabulary.bos),
          .eos = name(vocabulary.eos),
          .unknown = name(vocabulary.unknown),
          .padding = name(vocabulary.padding),
          .add_bos = vocabulary.add_bos,
          .add_eos = vocabulary.add_eos,
          .chat = vocabulary.chat};
}

}  // namespace

absl::Status check_can_save(const Tokenizer& tokenizer) {
  const bool pipeline = dynamic_cast<const PipelineTokenizer*>(&tokenizer) != nullptr;
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  if (pipeline && vocabulary.kind == Vocabulary::Kind::kByteLevelBpe) return absl::OkStatus();
  const std::string origin = vocabulary.origin.empty() ? "the tokenizer" : vocabulary.origin;
  return base::unimplemented(
      "cannot write tokenizer.json for ", origin,
      ": only byte-level BPE is written; make one "
      "beside it, in Python: transformers.AutoTokenizer.from_pretrained(FOLDER)"
      ".save_pretrained(FOLDER)");
}

absl::Status save_definition(const TokenizerDefinition& definition, const SpecialTokens& special,
                             const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::system_error("create", folder.string(), error.value());
  FRUGAL_ASSIGN_OR_RETURN(const std::string text, tokenizer_text(definition));
  FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(folder / "tokenizer.json", text));
  return base::write_file_atomically(folder / "tokenizer_config.json",
                                     base::str_cat(config_json(definition, special).dump(1), "\n"));
}

absl::Status save_tokenizer(const Tokenizer& tokenizer, const std::filesystem::path& folder) {
  FRUGAL_RETURN_IF_ERROR(check_can_save(tokenizer));
  const auto* pipeline = dynamic_cast<const PipelineTokenizer*>(&tokenizer);
  FRUGAL_ASSIGN_OR_RETURN(const TokenizerDefinition definition, definition_of(*pipeline));
  return save_definition(definition, special_of(tokenizer.vocabulary()), folder);
}

}  // namespace frugal::text
