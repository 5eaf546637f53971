#include "train/scale_tuning_record.h"

#include <string>
#include <vector>

namespace frugal::train {
namespace {

base::Json to_json(const std::vector<TuningSample>& samples) {
  base::Json json = base::Json::array();
  for (const TuningSample& sample : samples)
    json.push_back({{"step", sample.step}, {"divergence", sample.divergence}});
  return json;
}

absl::StatusOr<std::vector<TuningSample>> parse_samples(const base::Json& record,
                                                        std::string_view key,
                                                        std::string_view where) {
  std::vector<TuningSample> samples;
  FRUGAL_ASSIGN_OR_RETURN(const base::Json list, base::json_get<base::Json>(record, key, where));
  if (!list.is_array()) return base::invalid_argument(where, ": '", key, "' is no list");
  for (const base::Json& item : list) {
    TuningSample sample;
    FRUGAL_ASSIGN_OR_RETURN(sample.step, base::json_get<int64_t>(item, "step", where));
    FRUGAL_ASSIGN_OR_RETURN(sample.divergence, base::json_get<double>(item, "divergence", where));
    samples.push_back(sample);
  }
  return samples;
}

}  // namespace

base::Json to_json(const ScaleTuningResult& result) {
  return {{"step", result.steps},
          {"tokens", result.tokens},
          {"best_step", result.best_step},
          {"validation_before", result.validation.before},
          {"validation_after", result.validation.after},
          {"training_before", result.training.before},
          {"curve", to_json(result.curve)},
          {"validations", to_json(result.validations)}};
}

absl::Status take_record(const base::Json& record, std::string_view where,
                         ScaleTuningResult& result) {
  const auto number = [&](std::string_view key) {
    return base::json_get<double>(record, key, where);
  };
  const auto count = [&](std::string_view key) {
    return base::json_get<int64_t>(record, key, where);
  };
  FRUGAL_ASSIGN_OR_RETURN(result.steps, count("step"));
  FRUGAL_ASSIGN_OR_RETURN(result.tokens, count("tokens"));
  FRUGAL_ASSIGN_OR_RETURN(result.best_step, count("best_step"));
  FRUGAL_ASSIGN_OR_RETURN(result.validation.before, number("validation_before"));
  FRUGAL_ASSIGN_OR_RETURN(result.validation.after, number("validation_after"));
  FRUGAL_ASSIGN_OR_RETURN(result.training.before, number("training_before"));
  FRUGAL_ASSIGN_OR_RETURN(result.curve, parse_samples(record, "curve", where));
  FRUGAL_ASSIGN_OR_RETURN(result.validations, parse_samples(record, "validations", where));
  result.resumed_from = result.steps;
  return absl::OkStatus();
}

}  // namespace frugal::train
