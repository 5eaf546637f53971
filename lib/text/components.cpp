// Components of tokenizer.json that several origins share, and its post-processor.
#include "text/definition.h"

namespace frugal::text {
namespace {

using base::Json;
constexpr std::string_view kWhere = "post_processor";
constexpr int kMaxDepth = 16;

absl::Status append_special(const Json& item, const Json& table, int64_t vocabulary_size,
                            std::vector<TokenId>& out) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string name, base::json_get<std::string>(item, "id", kWhere));
  FRUGAL_ASSIGN_OR_RETURN(const Json entry, base::json_get<Json>(table, name, kWhere));
  FRUGAL_ASSIGN_OR_RETURN(const Json ids, base::json_get<Json>(entry, "ids", kWhere));
  if (!ids.is_array())
    return base::invalid_argument(kWhere, ": 'ids' of '", name, "' must be a list");
  for (const Json& id : ids) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= vocabulary_size) {
      return base::invalid_argument(kWhere, ": '", name, "' has the id ", id.dump(),
                                    "; the vocabulary has ", vocabulary_size);
    }
    out.push_back(static_cast<TokenId>(id.get<int64_t>()));
  }
  return absl::OkStatus();
}

absl::Status parse_template(const Json& json, int64_t vocabulary_size, std::vector<TokenId>& prefix,
                            std::vector<TokenId>& suffix) {
  FRUGAL_ASSIGN_OR_RETURN(const Json single, base::json_get<Json>(json, "single", kWhere));
  FRUGAL_ASSIGN_OR_RETURN(const Json table,
                          base::json_get_or<Json>(json, "special_tokens", Json::object(), kWhere));
  if (!single.is_array()) return base::invalid_argument(kWhere, ": 'single' must be a list");
  bool behind = false;
  for (const Json& item : single) {
    if (item.is_object() && item.contains("Sequence")) {
      if (behind)
        return base::unimplemented(kWhere, ": a template that repeats the text is not supported");
      behind = true;
    } else if (item.is_object() && item.contains("SpecialToken")) {
      FRUGAL_RETURN_IF_ERROR(
          append_special(item["SpecialToken"], table, vocabulary_size, behind ? suffix : prefix));
    } else {
      return base::invalid_argument(kWhere, ": expected Sequence or SpecialToken, found ",
                                    item.dump());
    }
  }
  return behind ? absl::OkStatus()
                : base::invalid_argument(kWhere, ": the template leaves the text out");
}

// ["</s>", 2]
absl::StatusOr<TokenId> named_id(const Json& json, const char* key, int64_t vocabulary_size) {
  FRUGAL_ASSIGN_OR_RETURN(const Json pair, base::json_get<Json>(json, key, kWhere));
  const bool good = pair.is_array() && pair.size() == 2 && pair[1].is_number_integer() &&
                    pair[1].get<int64_t>() >= 0 && pair[1].get<int64_t>() < vocabulary_size;
  if (!good) {
    return base::invalid_argument(kWhere, ": '", key, "' is ", pair.dump().substr(0, 80),
                                  "; expected a token and its id below ", vocabulary_size);
  }
  return static_cast<TokenId>(pair[1].get<int64_t>());
}

// BERT's and RoBERTa's: one token in front, one behind.
absl::Status parse_ends(const Json& json, int64_t vocabulary_size, std::vector<TokenId>& prefix,
                        std::vector<TokenId>& suffix) {
  FRUGAL_ASSIGN_OR_RETURN(const TokenId front, named_id(json, "cls", vocabulary_size));
  FRUGAL_ASSIGN_OR_RETURN(const TokenId behind, named_id(json, "sep", vocabulary_size));
  prefix.insert(prefix.begin(), front);
  suffix.push_back(behind);
  return absl::OkStatus();
}

absl::Status parse(const Json& json, int64_t vocabulary_size, int depth,
                   std::vector<TokenId>& prefix, std::vector<TokenId>& suffix) {
  if (depth > kMaxDepth) return base::invalid_argument(kWhere, ": nested deeper than ", kMaxDepth);
  FRUGAL_ASSIGN_OR_RETURN(const std::string type,
                          base::json_get<std::string>(json, "type", kWhere));
  if (type == "ByteLevel") return absl::OkStatus();  // changes offsets only
  if (type == "BertProcessing" || type == "RobertaProcessing")
    return parse_ends(json, vocabulary_size, prefix, suffix);
  if (type == "TemplateProcessing") {
    std::vector<TokenId> outer_prefix, outer_suffix;
    FRUGAL_RETURN_IF_ERROR(parse_template(json, vocabulary_size, outer_prefix, outer_suffix));
    prefix.insert(prefix.begin(), outer_prefix.begin(), outer_prefix.end());
    suffix.insert(suffix.end(), outer_suffix.begin(), outer_suffix.end());
    return absl::OkStatus();
  }
  if (type != "Sequence") {
    return base::unimplemented(
        kWhere, " of type '", type,
        "' is not supported; supported: ByteLevel, TemplateProcessing, BertProcessing, "
        "RobertaProcessing, Sequence");
  }
  FRUGAL_ASSIGN_OR_RETURN(const Json list, base::json_get<Json>(json, "processors", kWhere));
  if (!list.is_array()) return base::invalid_argument(kWhere, ": 'processors' must be a list");
  for (const Json& item : list)
    FRUGAL_RETURN_IF_ERROR(parse(item, vocabulary_size, depth + 1, prefix, suffix));
  return absl::OkStatus();
}

}  // namespace

absl::Status parse_post_processor(const Json& json, int64_t vocabulary_size,
                                  std::vector<TokenId>& prefix, std::vector<TokenId>& suffix) {
  return json.is_null() ? absl::OkStatus() : parse(json, vocabulary_size, 0, prefix, suffix);
}

Json byte_level_pre_tokenizer(std::string_view pattern) {
  Json split = {{"type", "Split"},
                {"pattern", {{"Regex", std::string(pattern)}}},
                {"behavior", "Isolated"},
                {"invert", false}};
  Json bytes = {{"type", "ByteLevel"},
                {"add_prefix_space", false},
                {"trim_offsets", true},
                {"use_regex", false}};
  return {{"type", "Sequence"},
          {"pretokenizers", Json::array({std::move(split), std::move(bytes)})}};
}

Json byte_level_decoder() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", true},
          {"trim_offsets", true},
          {"use_regex", true}};
}

Json affix_template(const std::optional<NamedToken>& front,
                    const std::optional<NamedToken>& behind) {
  Json result = {{"type", "TemplateProcessing"}};
  const auto add = [](Json& list, const char* text, int type, const auto& before,
                      const auto& after) {
    if (before) list.push_back({{"SpecialToken", {{"id", before->content}, {"type_id", type}}}});
    list.push_back({{"Sequence", {{"id", text}, {"type_id", type}}}});
    if (after) list.push_back({{"SpecialToken", {{"id", after->content}, {"type_id", type}}}});
  };
  result["single"] = Json::array();
  add(result["single"], "A", 0, front, behind);
  result["pair"] = Json::array();
  add(result["pair"], "A", 0, front, behind);
  add(result["pair"], "B", 1, front, behind);
  result["special_tokens"] = Json::object();
  for (const std::optional<NamedToken>& token : {front, behind}) {
    if (!token) continue;
    result["special_tokens"][token->content] = {{"id", token->content},
                                                {"ids", Json::array({token->id})},
                                                {"tokens", Json::array({token->content})}};
  }
  return result;
}

Json bos_template(std::string_view token, TokenId id) {
  return affix_template(NamedToken{std::string(token), id}, std::nullopt);
}

}  // namespace frugal::text
