#include <system_error>

#include "base/file.h"
#include "base/json.h"
#include "text/pipeline_tokenizer.h"

namespace frugal::text {
namespace {

using base::Json;

Json added_token_json(const AddedToken& token) {
  return {{"id", token.id},          {"content", token.content}, {"single_word", token.single_word},
          {"lstrip", token.lstrip},  {"rstrip", token.rstrip},   {"normalized", token.normalized},
          {"special", token.special}};
}

// The members of {piece: id} in the order of ids, without the search for duplicates that an ordered
// object does.
Json vocabulary_json(const Vocabulary& vocabulary, const std::vector<bool>& in_model) {
  Json::object_t object;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (in_model[id])
      object.Container::emplace_back(vocabulary.pieces[id], static_cast<int64_t>(id));
  }
  return object;
}

absl::StatusOr<Json> merges_json(const Vocabulary& vocabulary) {
  Json merges = Json::array();
  for (const std::string& merge : vocabulary.merges) {
    const size_t space = merge.find(' ');
    if (space == merge.npos || merge.find(' ', space + 1) != merge.npos) {
      return base::internal("merge '", merge, "' is not a pair");
    }
    merges.push_back(Json::array({merge.substr(0, space), merge.substr(space + 1)}));
  }
  return merges;
}

absl::StatusOr<Json> tokenizer_json(const PipelineTokenizer& tokenizer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const TokenizerSource& source = tokenizer.parts().source;
  Json added = Json::array();
  for (const AddedToken& token : tokenizer.parts().added) added.push_back(added_token_json(token));
  Json model = {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", nullptr}};
  model["continuing_subword_prefix"] = nullptr;
  model["end_of_word_suffix"] = nullptr;
  model["fuse_unk"] = false;
  model["byte_fallback"] = false;
  model["ignore_merges"] = source.ignore_merges;
  model["vocab"] = vocabulary_json(vocabulary, source.in_model);
  FRUGAL_ASSIGN_OR_RETURN(model["merges"], merges_json(vocabulary));
  Json root = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  root["added_tokens"] = std::move(added);
  root["normalizer"] = source.normalizer;
  root["pre_tokenizer"] = source.pre_tokenizer;
  root["post_processor"] = source.post_processor;
  root["decoder"] = source.decoder;
  root["model"] = std::move(model);
  return root;
}

Json config_json(const PipelineTokenizer& tokenizer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const auto name = [&](const std::optional<TokenId>& id) {
    return id ? Json(vocabulary.pieces[*id]) : Json(nullptr);
  };
  Json decoder = Json::object();
  for (const AddedToken& token : tokenizer.parts().added) {
    Json entry = added_token_json(token);
    entry.erase("id");
    decoder[std::to_string(token.id)] = std::move(entry);
  }
  // PreTrainedTokenizerFast takes everything from tokenizer.json; a model's own class would put its
  // pattern in its place.
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  config["bos_token"] = name(vocabulary.bos);
  config["eos_token"] = name(vocabulary.eos);
  config["pad_token"] = name(vocabulary.padding);
  config["unk_token"] = name(vocabulary.unknown);
  config["add_bos_token"] = vocabulary.add_bos;
  config["add_eos_token"] = vocabulary.add_eos;
  config["added_tokens_decoder"] = std::move(decoder);
  if (!vocabulary.chat_template.empty()) config["chat_template"] = vocabulary.chat_template;
  return config;
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

absl::Status save_tokenizer(const Tokenizer& tokenizer, const std::filesystem::path& folder) {
  FRUGAL_RETURN_IF_ERROR(check_can_save(tokenizer));
  const auto* pipeline = dynamic_cast<const PipelineTokenizer*>(&tokenizer);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::system_error("create", folder.string(), error.value());
  FRUGAL_ASSIGN_OR_RETURN(const Json root, tokenizer_json(*pipeline));
  FRUGAL_RETURN_IF_ERROR(
      base::write_file_atomically(folder / "tokenizer.json", base::str_cat(root.dump(1), "\n")));
  return base::write_file_atomically(folder / "tokenizer_config.json",
                                     base::str_cat(config_json(*pipeline).dump(1), "\n"));
}

}  // namespace frugal::text
