#include "train/record.h"

#include <limits>
#include <string_view>

namespace frugal::train {
namespace {

// null stands for a part of the loss without weight.
absl::StatusOr<double> number(const base::Json& object, std::string_view key,
                              std::string_view where) {
  return base::json_get_or<double>(object, key, std::numeric_limits<double>::quiet_NaN(), where);
}

absl::StatusOr<LossSample> parse_sample(const base::Json& json, std::string_view where) {
  LossSample sample;
  FRUGAL_ASSIGN_OR_RETURN(sample.step, base::json_get<int64_t>(json, "step", where));
  FRUGAL_ASSIGN_OR_RETURN(sample.loss, number(json, "loss", where));
  FRUGAL_ASSIGN_OR_RETURN(sample.cross_entropy, number(json, "cross_entropy", where));
  FRUGAL_ASSIGN_OR_RETURN(sample.divergence, number(json, "divergence", where));
  FRUGAL_ASSIGN_OR_RETURN(sample.learning_rate, number(json, "learning_rate", where));
  FRUGAL_ASSIGN_OR_RETURN(sample.gradient_norm, number(json, "gradient_norm", where));
  return sample;
}

absl::StatusOr<ValidationSample> parse_validation(const base::Json& json, std::string_view where) {
  ValidationSample sample;
  FRUGAL_ASSIGN_OR_RETURN(sample.step, base::json_get<int64_t>(json, "step", where));
  FRUGAL_ASSIGN_OR_RETURN(sample.cross_entropy, number(json, "cross_entropy", where));
  FRUGAL_ASSIGN_OR_RETURN(sample.tokens, base::json_get<int64_t>(json, "tokens", where));
  return sample;
}

}  // namespace

base::Json to_json(const TrainResult& result) {
  base::Json json = {{"step", result.steps},
                     {"tokens", result.tokens},
                     {"loss_tokens", result.loss_tokens},
                     {"best_step", result.best_step},
                     {"curve", base::Json::array()},
                     {"validation", base::Json::array()}};
  for (const LossSample& sample : result.curve) {
    json["curve"].push_back({{"step", sample.step},
                             {"loss", base::finite_or_null(sample.loss)},
                             {"cross_entropy", base::finite_or_null(sample.cross_entropy)},
                             {"divergence", base::finite_or_null(sample.divergence)},
                             {"learning_rate", base::finite_or_null(sample.learning_rate)},
                             {"gradient_norm", base::finite_or_null(sample.gradient_norm)}});
  }
  for (const ValidationSample& sample : result.validation) {
    json["validation"].push_back({{"step", sample.step},
                                  {"cross_entropy", base::finite_or_null(sample.cross_entropy)},
                                  {"tokens", sample.tokens}});
  }
  return json;
}

absl::StatusOr<TrainResult> parse_record(const base::Json& json, std::string_view where) {
  TrainResult result;
  FRUGAL_ASSIGN_OR_RETURN(result.steps, base::json_get<int64_t>(json, "step", where));
  FRUGAL_ASSIGN_OR_RETURN(result.tokens, base::json_get<int64_t>(json, "tokens", where));
  FRUGAL_ASSIGN_OR_RETURN(result.loss_tokens, base::json_get<int64_t>(json, "loss_tokens", where));
  FRUGAL_ASSIGN_OR_RETURN(result.best_step, base::json_get<int64_t>(json, "best_step", where));
  FRUGAL_ASSIGN_OR_RETURN(const base::Json curve, base::json_get<base::Json>(json, "curve", where));
  FRUGAL_ASSIGN_OR_RETURN(const base::Json validation,
                          base::json_get<base::Json>(json, "validation", where));
  for (const base::Json& item : curve) {
    FRUGAL_ASSIGN_OR_RETURN(const LossSample sample, parse_sample(item, where));
    result.curve.push_back(sample);
  }
  for (const base::Json& item : validation) {
    FRUGAL_ASSIGN_OR_RETURN(const ValidationSample sample, parse_validation(item, where));
    result.validation.push_back(sample);
  }
  return result;
}

}  // namespace frugal::train
