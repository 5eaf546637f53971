#include "artifact/packed/compressed_scheme.h"

#include <array>

#include "base/text.h"

namespace frugal::artifact {
namespace {

using base::Json;
using base::str_cat;

struct FormatName {
  std::string_view name;
  CompressedFormat format;
};
constexpr std::array kFormats = {
    FormatName{"pack-quantized", CompressedFormat::kPacked},
    FormatName{"int-quantized", CompressedFormat::kInteger},
    FormatName{"float-quantized", CompressedFormat::kFloat},
    FormatName{"nvfp4-pack-quantized", CompressedFormat::kNvfp4},
    FormatName{"mxfp4-pack-quantized", CompressedFormat::kMxfp4},
};

absl::StatusOr<CompressedFormat> find_format(const std::string& name, bool is_float,
                                             std::string_view where) {
  // The older name of both.
  if (name == "naive-quantized")
    return is_float ? CompressedFormat::kFloat : CompressedFormat::kInteger;
  std::vector<std::string> known;
  for (const FormatName& entry : kFormats) {
    if (entry.name == name) return entry.format;
    known.emplace_back(entry.name);
  }
  return base::unimplemented(where, ": the format is '", name.substr(0, 60), "'; frugal reads ",
                             base::join(known, ", "), "; start from the unquantized model");
}

absl::Status parse_spread(const Json& weights, std::string_view where, CompressedScheme& scheme) {
  FRUGAL_ASSIGN_OR_RETURN(scheme.group,
                          base::json_get_or<int64_t>(weights, "group_size", 0, where));
  const char* usual = scheme.group > 0 ? "group" : scheme.group == -1 ? "channel" : "tensor";
  FRUGAL_ASSIGN_OR_RETURN(const auto name,
                          base::json_get_or<std::string>(weights, "strategy", usual, where));
  if (name == "tensor" || name == "channel") {
    scheme.spread = name == "tensor" ? ScaleSpread::kTensor : ScaleSpread::kChannel;
    if (scheme.group <= 0) return absl::OkStatus();
    return base::invalid_argument(where, ": the strategy is '", name, "', but 'group_size' is ",
                                  scheme.group);
  }
  if (name == "group" || name == "tensor_group") {
    scheme.spread = ScaleSpread::kGroup;
    if (scheme.group > 0) return absl::OkStatus();
    return base::invalid_argument(where, ": the strategy is '", name,
                                  "', and 'group_size' says no number of columns");
  }
  if (name != "block") {
    return base::unimplemented(where, ": the strategy is '", name.substr(0, 40),
                               "'; frugal reads tensor, channel, group and block");
  }
  scheme.spread = ScaleSpread::kBlock;
  FRUGAL_ASSIGN_OR_RETURN(const Json block,
                          base::json_get<Json>(weights, "block_structure", where));
  constexpr int64_t kMost = int64_t{1} << 30;
  const auto side = [&](size_t i) {
    const bool fits = block[i].is_number_integer() && block[i] >= 1 && block[i] <= kMost;
    return fits ? block[i].get<int64_t>() : 0;
  };
  if (!block.is_array() || block.size() != 2 || side(0) == 0 || side(1) == 0)
    return base::invalid_argument(where,
                                  ": 'block_structure' must be two numbers, rows and columns");
  scheme.block_rows = side(0);
  scheme.group = side(1);
  return absl::OkStatus();
}

absl::Status check_numbers(const CompressedScheme& scheme, std::string_view where) {
  const auto refused = [&](std::string_view wanted) {
    return base::unimplemented(where, ": ", scheme.is_float ? "floats" : "integers", " of ",
                               scheme.bits, " bits, ", scheme.symmetric ? "" : "not ",
                               "symmetric; frugal reads ", wanted, " in this format");
  };
  switch (scheme.format) {
    case CompressedFormat::kPacked:
      return !scheme.is_float && scheme.bits >= 2 && scheme.bits <= 8
                 ? absl::OkStatus()
                 : refused("integers of 2 to 8 bits");
    case CompressedFormat::kInteger:
      return !scheme.is_float && scheme.bits == 8 ? absl::OkStatus()
                                                  : refused("integers of 8 bits");
    case CompressedFormat::kFloat:
      return scheme.is_float && scheme.bits == 8 && scheme.symmetric
                 ? absl::OkStatus()
                 : refused("symmetric floats of 8 bits (E4M3)");
    case CompressedFormat::kNvfp4:
    case CompressedFormat::kMxfp4:
      return scheme.is_float && scheme.bits == 4 && scheme.symmetric &&
                     scheme.spread == ScaleSpread::kGroup
                 ? absl::OkStatus()
                 : refused("symmetric floats of 4 bits (E2M1) in groups");
  }
  return absl::OkStatus();
}

absl::Status parse_weights(const Json& weights, const std::string& format, std::string_view where,
                           CompressedScheme& scheme) {
  FRUGAL_ASSIGN_OR_RETURN(const int64_t bits,
                          base::json_get_or<int64_t>(weights, "num_bits", 8, where));
  FRUGAL_ASSIGN_OR_RETURN(const auto type,
                          base::json_get_or<std::string>(weights, "type", "int", where));
  if (type != "int" && type != "float")
    return base::invalid_argument(where, ": 'type' is '", type.substr(0, 40),
                                  "', expected int or float");
  if (bits < 1 || bits > 16)
    return base::invalid_argument(where, ": 'num_bits' is ", bits, ", expected 1 to 16");
  scheme.bits = static_cast<int>(bits);
  scheme.is_float = type == "float";
  FRUGAL_ASSIGN_OR_RETURN(scheme.symmetric,
                          base::json_get_or<bool>(weights, "symmetric", true, where));
  FRUGAL_ASSIGN_OR_RETURN(scheme.format, find_format(format, scheme.is_float, where));
  FRUGAL_RETURN_IF_ERROR(parse_spread(weights, where, scheme));
  if (const auto order = weights.find("actorder"); order != weights.end() && order->is_string())
    scheme.ordered = *order == "group" || *order == "dynamic";
  return check_numbers(scheme, where);
}

// Inputs that are rounded per token to int8 are what the checkpoint can say of a matrix on int8
// rows; of others it says nothing.
absl::Status parse_inputs(const Json& inputs, std::string_view where, CompressedScheme& scheme) {
  if (inputs.is_null()) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const int64_t bits,
                          base::json_get_or<int64_t>(inputs, "num_bits", 8, where));
  FRUGAL_ASSIGN_OR_RETURN(const auto type,
                          base::json_get_or<std::string>(inputs, "type", "int", where));
  FRUGAL_ASSIGN_OR_RETURN(const auto spread,
                          base::json_get_or<std::string>(inputs, "strategy", "tensor", where));
  FRUGAL_ASSIGN_OR_RETURN(const bool symmetric,
                          base::json_get_or<bool>(inputs, "symmetric", true, where));
  const auto found = inputs.find("dynamic");
  const bool dynamic = found != inputs.end() && found->is_boolean() && found->get<bool>();
  const bool weights_fit = scheme.format == CompressedFormat::kInteger && scheme.symmetric &&
                           scheme.spread == ScaleSpread::kChannel;
  scheme.int8_inputs =
      weights_fit && dynamic && symmetric && spread == "token" && type == "int" && bits == 8;
  if (!scheme.int8_inputs) {
    scheme.inputs = str_cat(type.substr(0, 20), bits, " per ", spread.substr(0, 20),
                            dynamic ? "" : " with fixed scales");
  }
  return absl::OkStatus();
}

absl::StatusOr<CompressedScheme> parse_scheme(const std::string& name, const Json& json,
                                              const std::string& format, std::string_view where) {
  if (!json.is_object()) {
    return base::unimplemented(where,
                               ": it names a preset of targets; frugal reads groups that "
                               "write their weights' arguments out");
  }
  CompressedScheme scheme{.name = name};
  FRUGAL_ASSIGN_OR_RETURN(const Json targets, base::json_get<Json>(json, "targets", where));
  FRUGAL_ASSIGN_OR_RETURN(scheme.targets,
                          ModuleTargets::parse(targets, str_cat(where, ": 'targets'")));
  FRUGAL_ASSIGN_OR_RETURN(const Json outputs,
                          base::json_get_or<Json>(json, "output_activations", Json(), where));
  if (!outputs.is_null()) {
    return base::unimplemented(where,
                               ": 'output_activations' rounds what modules give; frugal "
                               "reads weights and inputs that are rounded");
  }
  FRUGAL_ASSIGN_OR_RETURN(const Json weights, base::json_get<Json>(json, "weights", where));
  if (!weights.is_object())
    return base::unimplemented(where, ": 'weights' is no object; frugal reads quantized weights");
  FRUGAL_ASSIGN_OR_RETURN(const auto own,
                          base::json_get_or<std::string>(json, "format", format, where));
  FRUGAL_RETURN_IF_ERROR(parse_weights(weights, own, str_cat(where, ": 'weights'"), scheme));
  FRUGAL_ASSIGN_OR_RETURN(const Json inputs,
                          base::json_get_or<Json>(json, "input_activations", Json(), where));
  FRUGAL_RETURN_IF_ERROR(parse_inputs(inputs, str_cat(where, ": 'input_activations'"), scheme));
  return scheme;
}

absl::Status refuse_others(const Json& config, std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const Json cache,
                          base::json_get_or<Json>(config, "kv_cache_scheme", Json(), where));
  if (!cache.is_null()) {
    return base::unimplemented(where,
                               ": 'kv_cache_scheme' rounds keys and values; frugal keeps "
                               "them in floating point: start from the unquantized model");
  }
  for (const char* key : {"sparsity_config", "moe_sparsity_config"}) {
    FRUGAL_ASSIGN_OR_RETURN(const Json sparsity,
                            base::json_get_or<Json>(config, key, Json(), where));
    if (!sparsity.is_object() || sparsity.empty()) continue;
    FRUGAL_ASSIGN_OR_RETURN(const auto format,
                            base::json_get_or<std::string>(sparsity, "format", "dense", where));
    if (format == "dense") continue;
    return base::unimplemented(where, ": '", key, "' has the format '", format.substr(0, 40),
                               "'; frugal reads weights without a compressed sparsity");
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view name(CompressedFormat format) {
  for (const FormatName& entry : kFormats) {
    if (entry.format == format) return entry.name;
  }
  return "";
}

Json to_json(const CompressedScheme& scheme, const std::vector<std::string>& targets) {
  const bool grouped = scheme.spread == ScaleSpread::kGroup;
  Json weights = {{"num_bits", scheme.bits},
                  {"type", scheme.is_float ? "float" : "int"},
                  {"symmetric", scheme.symmetric},
                  {"strategy", grouped ? "group" : "channel"},
                  {"group_size", grouped ? Json(scheme.group) : Json()},
                  {"dynamic", false}};
  if (scheme.format == CompressedFormat::kNvfp4) {
    weights["strategy"] = "tensor_group";
    weights["scale_dtype"] = "torch.float8_e4m3fn";
  }
  if (scheme.format == CompressedFormat::kMxfp4) weights["scale_dtype"] = "torch.uint8";
  Json inputs;
  if (scheme.int8_inputs) {
    inputs = {{"num_bits", 8},
              {"type", "int"},
              {"symmetric", true},
              {"strategy", "token"},
              {"dynamic", true}};
  }
  return {{"targets", targets},
          {"format", name(scheme.format)},
          {"weights", std::move(weights)},
          {"input_activations", std::move(inputs)},
          {"output_activations", nullptr}};
}

std::string CompressedScheme::text() const {
  std::string shared;
  switch (spread) {
    case ScaleSpread::kTensor:
      shared = "one scale";
      break;
    case ScaleSpread::kChannel:
      shared = "a scale for each row";
      break;
    case ScaleSpread::kGroup:
      shared = str_cat("groups of ", group);
      break;
    case ScaleSpread::kBlock:
      shared = str_cat("blocks of ", block_rows, " x ", group);
      break;
  }
  return str_cat(artifact::name(format), " of ", bits, " bits, ",
                 symmetric ? "" : "with zero points, ", shared, " ('", name, "')");
}

absl::StatusOr<CompressedSchemes> parse_compressed_schemes(const Json& config,
                                                           std::string_view where) {
  FRUGAL_RETURN_IF_ERROR(refuse_others(config, where));
  CompressedSchemes result;
  FRUGAL_ASSIGN_OR_RETURN(const Json ignored,
                          base::json_get_or<Json>(config, "ignore", Json(), where));
  FRUGAL_ASSIGN_OR_RETURN(result.ignored,
                          ModuleTargets::parse(ignored, str_cat(where, ": 'ignore'")));
  FRUGAL_ASSIGN_OR_RETURN(const auto format,
                          base::json_get_or<std::string>(config, "format", "", where));
  FRUGAL_ASSIGN_OR_RETURN(const Json groups, base::json_get<Json>(config, "config_groups", where));
  if (!groups.is_object() || groups.empty())
    return base::invalid_argument(where, ": 'config_groups' must be an object with a group");
  for (const auto& [name, group] : groups.items()) {
    FRUGAL_ASSIGN_OR_RETURN(
        CompressedScheme scheme,
        parse_scheme(name, group, format, str_cat(where, ": '", name.substr(0, 60), "'")));
    result.groups.push_back(std::move(scheme));
  }
  return result;
}

}  // namespace frugal::artifact
