#include "architecture/families/experts.h"

#include "architecture/config_reader.h"

namespace frugal::architecture {
namespace {

constexpr int64_t kMaxExperts = 1 << 12;

}  // namespace

absl::Status read_experts(const base::Json& json, std::string_view where,
                          std::string_view count_key, int64_t otherwise_count,
                          int64_t otherwise_per_token, Experts& experts) {
  FRUGAL_ASSIGN_OR_RETURN(experts.count,
                          positive_or(json, count_key, otherwise_count, kMaxExperts, where));
  FRUGAL_ASSIGN_OR_RETURN(experts.per_token, positive_or(json, "num_experts_per_tok",
                                                         otherwise_per_token, kMaxExperts, where));
  if (experts.per_token <= experts.count) return absl::OkStatus();
  return base::invalid_argument(where, ": 'num_experts_per_tok' is ", experts.per_token,
                                ", expected at most '", count_key, "' ", experts.count);
}

absl::Status read_router_loss(const base::Json& json, std::string_view where, double otherwise,
                              ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(
      config.router_loss_weight,
      base::json_get_or<double>(json, "router_aux_loss_coef", otherwise, where));
  if (config.router_loss_weight >= 0 && config.router_loss_weight <= 1) return absl::OkStatus();
  return base::invalid_argument(where, ": 'router_aux_loss_coef' is ", config.router_loss_weight,
                                ", expected 0 to 1");
}

void write_experts(const ModelConfig& config, std::string_view count_key, base::Json& json) {
  for (const Layer& layer : config.layers) {
    if (!layer.experts) continue;
    json[std::string(count_key)] = layer.experts->count;
    json["num_experts_per_tok"] = layer.experts->per_token;
    return;
  }
}

}  // namespace frugal::architecture
