#include "report/metered.h"

#include <string_view>
#include <vector>

#include "base/text.h"
#include "energy/provenance.h"
#include "report/access.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;

Json first_row(const Json& step, std::string_view table) {
  const Json rows = list_at(object_at(step, "tables"), table);
  return rows.empty() ? Json::object() : rows[0];
}

// What the devices draw in any case, of a request: gross less net. Both are of the same windows, so
// no interval of the difference follows from theirs.
Json idle_part(const Json& gross, const Json& net) {
  Json idle = {{"value", nullptr},
               {"unit", "J"},
               {"provenance", text_at(gross, "provenance", "measured")},
               {"source", text_at(gross, "source")}};
  if (!any_at(gross, "value").is_number() || !any_at(net, "value").is_number()) {
    const Json& unknown = any_at(gross, "value").is_number() ? net : gross;
    idle["reason"] = text_at(unknown, "reason", text_at(unknown, "help"));
    return idle;
  }
  idle["value"] = number_at(gross, "value") - number_at(net, "value");
  idle["help"] = "Energy of one request, gross less net of idle.";
  const auto a = energy::parse_provenance(text_at(gross, "provenance", "measured"));
  const auto b = energy::parse_provenance(text_at(net, "provenance", "measured"));
  if (a.ok() && b.ok()) idle["provenance"] = energy::to_text(energy::weakest(*a, *b));
  std::vector<std::string> marks;
  for (const Json* number : {&gross, &net}) {
    for (const Json& mark : list_at(*number, "marks")) {
      if (mark.is_string()) energy::add_mark(mark.get<std::string>(), &marks);
    }
  }
  if (!marks.empty()) idle["marks"] = marks;
  return idle;
}

void add_parts(const Json& workload, Json& numbers) {
  const std::string suffix = base::str_cat("/batch_", integer_at(workload, "batch"));
  const auto part = [&](std::string_view metric, std::string_view from, int64_t tokens) {
    const auto found = numbers.find(base::str_cat(from, suffix));
    if (found == numbers.end()) return;
    Json number = scaled_number(*found, static_cast<double>(tokens));
    number["help"] = base::str_cat(text_at(number, "help"), " Times ", tokens, " tokens.");
    numbers[std::string(metric)] = std::move(number);
  };
  part("prefill_joules_per_request", "prefill_joules_per_token",
       integer_at(workload, "prompt_tokens"));
  part("decode_joules_per_request", "decode_joules_per_token",
       integer_at(workload, "generated_tokens") - 1);
  const auto gross = numbers.find("joules_per_request" + suffix);
  const auto net = numbers.find("net_joules_per_request" + suffix);
  if (gross != numbers.end() && net != numbers.end())
    numbers["idle_joules_per_request"] = idle_part(*gross, *net);
  const auto first = numbers.find("time_to_first_token_p50" + suffix);
  if (first != numbers.end()) numbers["time_to_first_token"] = *first;
}

}  // namespace

bool is_served(const Json& step) { return first_row(step, "runtime").contains("artifact"); }

std::string engine_of(const Json& step) {
  const Json row = first_row(step, "runtime");
  const std::string runtime = text_at(row, "runtime"), version = text_at(row, "version");
  return version.empty() ? runtime : base::str_cat(runtime, " (", version, ")");
}

std::string engine_or_forward(const Json& step) {
  const std::string engine = engine_of(step);
  return engine.empty() ? kOwnForward : engine;
}

Json step_numbers(const Json& step) {
  Json numbers = Json::object();
  for (const Json& statistic : list_at(step, "statistics"))
    numbers[text_at(statistic, "name")] = number_of(statistic, step_name(step));
  if (text_at(step, "pass") == "measure") add_parts(first_row(step, "speed"), numbers);
  return numbers;
}

Json scaled_number(Json number, double factor) {
  for (const char* key : {"value", "low", "high"}) {
    if (any_at(number, key).is_number()) number[key] = number_at(number, key) * factor;
  }
  const Json range = object_at(number, "range");
  if (!range.empty()) {
    number["range"] = {{"low", number_at(range, "low") * factor},
                       {"high", number_at(range, "high") * factor}};
  }
  return number;
}

int told_apart(const Json& a, const Json& b, int direction) {
  const auto bound = [](const Json& number, const char* key) {
    return number_at(number, key, number_at(number, "value"));
  };
  if (bound(a, "low") > bound(b, "high")) return direction;
  if (bound(a, "high") < bound(b, "low")) return -direction;
  return 0;
}

}  // namespace frugal::report
