#include "report/throughput.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "report/access.h"
#include "report/architectures.h"
#include "report/claim.h"
#include "report/metered.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;

Json unknown(const std::string& unit, const std::string& reason, const std::string& source) {
  return {{"value", nullptr}, {"unit", unit}, {"reason", reason}, {"source", source}};
}

// A statistic of the step as a number of the report; null without one.
Json number_named(const Json& step, const std::string& name) {
  for (const Json& statistic : list_at(step, "statistics")) {
    if (text_at(statistic, "name") == name) return number_of(statistic, step_name(step));
  }
  return nullptr;
}

struct Work {
  double batch = 0, prompt = 0, generated = 0;
};

Work work_of(const Json& step) {
  const Json options = object_at(step, "options"), batch = list_at(options, "batch");
  return {batch.empty() || !batch[0].is_number() ? 0 : batch[0].get<double>(),
          number_at(options, "prompt_tokens"), number_at(options, "generated_tokens")};
}

// Seconds that a batch of requests takes at the two rates; infinite where one is not known.
double seconds_of(const Work& work, const Json& prefill, const Json& decode, const char* bound) {
  const double read = number_at(prefill, bound), write = number_at(decode, bound);
  return work.batch * (work.prompt / read + (work.generated - 1) / write);
}

bool has_bounds(const Json& number) {
  return any_at(number, "low").is_number() && any_at(number, "high").is_number();
}

// `number` times `factor`, bounds, range and marks with it.
Json times(Json number, double factor) {
  for (const char* key : {"value", "low", "high"}) {
    if (any_at(number, key).is_number()) number[key] = number_at(number, key) * factor;
  }
  if (Json range = object_at(number, "range"); !range.empty()) {
    for (const char* key : {"low", "high"}) range[key] = number_at(range, key) * factor;
    number["range"] = range;
  }
  return number;
}

void add_rates(const Json& step, const Work& work, Throughput& out) {
  const std::string suffix = str_cat("/batch_", static_cast<int64_t>(work.batch));
  const std::string source = step_name(step);
  const Json prefill = number_named(step, "prefill_tokens_per_second" + suffix);
  const Json decode = number_named(step, "decode_tokens_per_second" + suffix);
  const Json request = number_named(step, "joules_per_request" + suffix);
  const double seconds = seconds_of(work, prefill, decode, "value");
  if (!std::isfinite(seconds) || !(seconds > 0)) {
    out.tokens_per_second = unknown("tokens/s", "its prefill or decode was not timed", source);
    out.watts = unknown("W", "its prefill or decode was not timed", source);
    return;
  }
  const double tokens = work.generated * work.batch;
  out.tokens_per_second = {{"value", tokens / seconds},
                           {"unit", "tokens/s"},
                           {"provenance", "measured"},
                           {"source", source},
                           {"help", str_cat("Generated tokens by the time of prefill and decode, ",
                                            out.workload, ", ", out.engine, ".")}};
  if (has_bounds(prefill) && has_bounds(decode)) {
    out.tokens_per_second["low"] = tokens / seconds_of(work, prefill, decode, "low");
    out.tokens_per_second["high"] = tokens / seconds_of(work, prefill, decode, "high");
    out.tokens_per_second["method"] = "bounds of prefill and decode together";
  }
  if (!any_at(request, "value").is_number()) {
    out.watts = unknown("W", text_at(request, "help", "energy is unknown"), source);
    return;
  }
  out.watts = times(request, work.batch / seconds);
  out.watts["unit"] = "W";
  out.watts["help"] = "Joules of the requests by the seconds that they took.";
}

Throughput throughput_of(const Json& step, const Json& model) {
  Throughput out;
  const Work work = work_of(step);
  out.engine = engine_or_forward(step);
  out.models = {text_at(model, "name")};
  out.name =
      out.engine == kOwnForward ? text_at(model, "architecture", out.models[0]) : out.models[0];
  out.workload = str_cat("batch ", work.batch, ", ", work.prompt, " prompt and ", work.generated,
                         " generated tokens");
  out.joules = number_named(step, std::string(kEnergy));
  if (out.joules.is_null())
    out.joules = unknown("J", "the step did not report it", step_name(step));
  add_rates(step, work, out);
  return out;
}

}  // namespace

std::vector<Throughput> collect_throughput(const JournalView& journal, const Json& models) {
  std::vector<std::vector<Throughput>> groups;
  for (const Json& step : journal.steps) {
    const Json from = list_at(step, "from");
    if (text_at(step, "pass") != "measure" || text_at(step, "event") != "step_end" ||
        from.empty() || !from[0].is_string())
      continue;
    const Json* model = find_model(models, from[0].get<std::string>());
    if (model == nullptr) continue;
    Throughput next = throughput_of(step, *model);
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& known) {
      return next.engine == kOwnForward && known[0].engine == next.engine &&
             known[0].name == next.name && known[0].workload == next.workload;
    });
    if (group == groups.end())
      groups.push_back({std::move(next)});
    else
      group->push_back(std::move(next));
  }
  std::vector<Throughput> out;
  for (std::vector<Throughput>& group : groups) {
    Throughput row = group[0];
    for (size_t i = 1; i < group.size(); ++i)
      row.models.insert(row.models.end(), group[i].models.begin(), group[i].models.end());
    for (Json Throughput::* number :
         {&Throughput::joules, &Throughput::tokens_per_second, &Throughput::watts}) {
      std::vector<Json> all;
      for (const Throughput& one : group) all.push_back(one.*number);
      row.*number = mean_number(all);
    }
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace frugal::report
