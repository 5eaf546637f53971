// Tested by: tests/architecture/families_test.cpp
#include "architecture/family.h"

#include <array>
#include <string>
#include <vector>

#include "architecture/families/families.h"
#include "architecture/tensors.h"
#include "base/text.h"

namespace frugal::architecture {
namespace {

// Every family: one line each.
constexpr std::array kFamilies = {&kLlama,    &kMistral, &kMixtral, &kQwen2, &kQwen3,
                                  &kQwen3Moe, &kGemma2,  &kGemma3,  &kPhi3,  &kOlmo2,
                                  &kOlmoe,    &kSmolLM3, &kGranite, &kGpt2};

}  // namespace

std::span<const Family* const> families() { return kFamilies; }

absl::StatusOr<const Family*> find_family(std::string_view architecture, std::string_view where) {
  std::vector<std::string> known;
  for (const Family* const family : kFamilies) {
    if (family->architecture == architecture) return family;
    known.emplace_back(family->architecture);
  }
  return base::unimplemented(where, ": architecture '", architecture.substr(0, 80),
                             "' is not known; frugal reads ", base::join(known, ", "));
}

const Family& family_of(const ModelConfig& config) {
  for (const Family* const family : kFamilies) {
    if (family->architecture == config.architecture) return *family;
  }
  return kLlama;  // a config that was never parsed; parse_model_config lets no other name through
}

absl::StatusOr<ModelConfig> parse_model_config(const base::Json& json, std::string_view where) {
  if (!json.is_object()) return base::invalid_argument(where, ": expected a JSON object");
  const auto list = json.find("architectures");
  if (list == json.end() || !list->is_array() || list->empty() || !list->front().is_string()) {
    std::vector<std::string> known;
    for (const Family* const family : kFamilies) known.emplace_back(family->architecture);
    return base::invalid_argument(
        where, ": the key 'architectures' is missing or no list of names; expected one of ",
        base::join(known, ", "));
  }
  FRUGAL_ASSIGN_OR_RETURN(const Family* const family,
                          find_family(list->front().get_ref<const std::string&>(), where));
  FRUGAL_ASSIGN_OR_RETURN(
      const std::string model_type,
      base::json_get_or<std::string>(json, "model_type", std::string(family->model_type), where));
  if (model_type != family->model_type) {
    return base::invalid_argument(where, ": 'architectures' names ", family->architecture,
                                  ", whose 'model_type' is '", family->model_type,
                                  "', but 'model_type' is '", model_type.substr(0, 80), "'");
  }
  ModelConfig config;
  config.architecture = std::string(family->architecture);
  config.model_type = model_type;
  FRUGAL_RETURN_IF_ERROR(family->describe(json, where, config));
  config.source = json;
  return config;
}

ModelConfig make_decoder(int64_t layer_count, const Layer& layer) {
  const Family& family = layer.experts ? kMixtral : kLlama;
  ModelConfig config;
  config.architecture = std::string(family.architecture);
  config.model_type = std::string(family.model_type);
  config.layers.assign(static_cast<size_t>(layer_count), layer);
  config.final_norm = layer.before_attention.value_or(Norm{});
  config.source = base::Json::object();
  return config;
}

base::Json to_json(const ModelConfig& config) {
  base::Json json = config.source.is_object() ? config.source : base::Json::object();
  json["architectures"] = base::Json::array({config.architecture});
  json["model_type"] = config.model_type;
  family_of(config).write(config, json);
  return json;
}

int64_t ModelConfig::parameter_count() const {
  int64_t count = 0;
  for (const Tensor& tensor : tensors(*this)) {
    int64_t elements = 1;
    for (const int64_t dimension : tensor.shape) elements *= dimension;
    count += elements;
  }
  return count;
}

}  // namespace frugal::architecture
