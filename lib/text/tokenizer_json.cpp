#include "text/tokenizer_json.h"

#include <cmath>
#include <limits>

namespace frugal::text {
namespace {

using base::Json;

// Members are looked up in place: copying a vocabulary of 150,000 pieces costs more than reading
// it.
const Json* member(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

absl::StatusOr<std::pair<std::string, std::string>> parse_merge(const Json& item, size_t index,
                                                                std::string_view where) {
  if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
    return std::pair(item[0].get<std::string>(), item[1].get<std::string>());
  }
  if (item.is_string()) {
    const auto& text = item.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos) {
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  return base::invalid_argument(
      where, ": merge ", index, " must be \"a b\" or [\"a\", \"b\"], found ",
      item.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80));
}

absl::Status refuse_text(const Json& model, const char* key, std::string_view where) {
  const Json* value = member(model, key);
  if (value == nullptr || (value->is_string() && value->get_ref<const std::string&>().empty()))
    return absl::OkStatus();
  return base::unimplemented(where, ": model.", key, " is not supported");
}

absl::Status parse_unigram(const Json& model, std::string_view where,
                           TokenizerDefinition& definition) {
  definition.model = TokenizerDefinition::Model::kUnigram;
  FRUGAL_ASSIGN_OR_RETURN(definition.byte_fallback,
                          base::json_get_or<bool>(model, "byte_fallback", false, where));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t unknown,
                          base::json_get_or<int64_t>(model, "unk_id", -1, where));
  const Json* vocabulary = member(model, "vocab");
  if (vocabulary == nullptr || !vocabulary->is_array())
    return base::invalid_argument(where, ": 'model' needs 'vocab', a list of [piece, score]");
  for (const Json& item : *vocabulary) {
    const bool good = item.is_array() && item.size() == 2 && item[0].is_string() &&
                      item[1].is_number() && !item[0].get_ref<const std::string&>().empty() &&
                      std::isfinite(item[1].get<double>());
    if (!good) {
      return base::invalid_argument(
          where, ": piece ", definition.pieces.size(), " must be [text, score], found ",
          item.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80));
    }
    definition.pieces.push_back(item[0].get<std::string>());
    definition.scores.push_back(item[1].get<double>());
  }
  const auto size = static_cast<int64_t>(definition.pieces.size());
  if (unknown < 0) return absl::OkStatus();
  if (unknown >= size)
    return base::invalid_argument(where, ": unk_id ", unknown, " is outside the ", size, " pieces");
  definition.unknown_piece = definition.pieces[static_cast<size_t>(unknown)];
  return absl::OkStatus();
}

absl::Status parse_model(const Json& model, std::string_view where,
                         TokenizerDefinition& definition) {
  if (!model.is_object()) return base::invalid_argument(where, ": 'model' must be an object");
  FRUGAL_ASSIGN_OR_RETURN(const std::string type,
                          base::json_get_or<std::string>(model, "type", "BPE", where));
  if (type == "Unigram") return parse_unigram(model, where, definition);
  if (type != "BPE") {
    return base::unimplemented(where, ": model type '", type,
                               "' is not supported; supported: BPE, Unigram");
  }
  FRUGAL_RETURN_IF_ERROR(refuse_text(model, "continuing_subword_prefix", where));
  FRUGAL_RETURN_IF_ERROR(refuse_text(model, "end_of_word_suffix", where));
  FRUGAL_ASSIGN_OR_RETURN(const double dropout,
                          base::json_get_or<double>(model, "dropout", 0.0, where));
  if (dropout != 0.0)
    return base::unimplemented(where, ": model.dropout ", dropout, " is not supported");
  FRUGAL_ASSIGN_OR_RETURN(definition.unknown_piece,
                          base::json_get_or<std::string>(model, "unk_token", "", where));
  FRUGAL_ASSIGN_OR_RETURN(definition.byte_fallback,
                          base::json_get_or<bool>(model, "byte_fallback", false, where));
  FRUGAL_ASSIGN_OR_RETURN(definition.fuse_unknown,
                          base::json_get_or<bool>(model, "fuse_unk", false, where));
  FRUGAL_ASSIGN_OR_RETURN(definition.ignore_merges,
                          base::json_get_or<bool>(model, "ignore_merges", false, where));
  const Json* vocabulary = member(model, "vocab");
  const Json* merges = member(model, "merges");
  if (vocabulary == nullptr || merges == nullptr || !merges->is_array()) {
    return base::invalid_argument(where, ": 'model' needs 'vocab' (object) and 'merges' (list)");
  }
  FRUGAL_ASSIGN_OR_RETURN(definition.pieces, parse_vocabulary(*vocabulary, where));
  definition.merges.reserve(merges->size());
  for (const Json& item : *merges) {
    FRUGAL_ASSIGN_OR_RETURN(auto pair, parse_merge(item, definition.merges.size(), where));
    definition.merges.push_back(std::move(pair));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> parse_vocabulary(const Json& vocabulary,
                                                          std::string_view where) {
  if (!vocabulary.is_object())
    return base::invalid_argument(where, ": the vocabulary must be an object {piece: id}");
  constexpr int64_t kMaxHoles = 1 << 16;
  const int64_t limit = static_cast<int64_t>(vocabulary.size()) + kMaxHoles;
  std::vector<std::string> pieces;
  pieces.reserve(vocabulary.size());
  for (const auto& [piece, id] : vocabulary.items()) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= limit) {
      return base::invalid_argument(where, ": piece '", piece, "' has the id ",
                                    id.dump().substr(0, 40), "; expected a number from 0 to about ",
                                    vocabulary.size() - 1);
    }
    const auto index = static_cast<size_t>(id.get<int64_t>());
    if (piece.empty())
      return base::invalid_argument(where, ": the piece with id ", index, " is empty");
    if (index >= pieces.size()) pieces.resize(index + 1);
    if (!pieces[index].empty()) {
      return base::invalid_argument(where, ": id ", index, " belongs to '", pieces[index],
                                    "' and to '", piece, "'");
    }
    pieces[index] = piece;
  }
  return pieces;
}

absl::StatusOr<AddedToken> parse_added_token(const Json& json, std::optional<TokenId> id,
                                             std::string_view where) {
  AddedToken token;
  if (id) {
    token.id = *id;
  } else {
    FRUGAL_ASSIGN_OR_RETURN(const int64_t own, base::json_get<int64_t>(json, "id", where));
    if (own < 0 || own > std::numeric_limits<TokenId>::max()) {
      return base::invalid_argument(where, ": an added token has the id ", own);
    }
    token.id = static_cast<TokenId>(own);
  }
  FRUGAL_ASSIGN_OR_RETURN(token.content, base::json_get<std::string>(json, "content", where));
  FRUGAL_ASSIGN_OR_RETURN(token.single_word,
                          base::json_get_or<bool>(json, "single_word", false, where));
  FRUGAL_ASSIGN_OR_RETURN(token.lstrip, base::json_get_or<bool>(json, "lstrip", false, where));
  FRUGAL_ASSIGN_OR_RETURN(token.rstrip, base::json_get_or<bool>(json, "rstrip", false, where));
  FRUGAL_ASSIGN_OR_RETURN(token.special, base::json_get_or<bool>(json, "special", false, where));
  FRUGAL_ASSIGN_OR_RETURN(token.normalized,
                          base::json_get_or<bool>(json, "normalized", !token.special, where));
  if (token.content.empty())
    return base::invalid_argument(where, ": the added token ", token.id, " is empty");
  return token;
}

absl::StatusOr<TokenizerDefinition> parse_tokenizer_json(const Json& root, std::string_view where) {
  if (!root.is_object()) return base::invalid_argument(where, ": expected an object");
  TokenizerDefinition definition;
  const Json* model = member(root, "model");
  if (model == nullptr) return base::invalid_argument(where, ": no 'model'");
  FRUGAL_RETURN_IF_ERROR(parse_model(*model, where, definition));
  if (const Json* added = member(root, "added_tokens")) {
    if (!added->is_array()) return base::invalid_argument(where, ": 'added_tokens' must be a list");
    for (const Json& item : *added) {
      FRUGAL_ASSIGN_OR_RETURN(AddedToken token, parse_added_token(item, std::nullopt, where));
      definition.added.push_back(std::move(token));
    }
  }
  const auto component = [&](const char* key) {
    const Json* value = member(root, key);
    return value == nullptr ? Json(nullptr) : *value;
  };
  definition.normalizer = component("normalizer");
  definition.pre_tokenizer = component("pre_tokenizer");
  definition.post_processor = component("post_processor");
  definition.decoder = component("decoder");
  return definition;
}

}  // namespace frugal::text
