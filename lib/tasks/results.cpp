#include "tasks/results.h"

#include "base/hash.h"
#include "chat/printing.h"
#include "tasks/field.h"

namespace frugal::tasks {
namespace {

using base::Json;

std::string key_of(const MetricResult& metric, std::string_view what = "") {
  return base::str_cat(metric.name, what, ",", metric.filter);
}

// str(target): a list as Python prints it.
std::string target_text(const Json& target) {
  if (!target.is_array()) return python_text(target);
  std::string out = "[";
  for (const Json& item : target) {
    if (out.size() > 1) out += ", ";
    out += item.is_string() ? chat::represent_text(item.get_ref<const std::string&>())
                            : python_text(item);
  }
  return out + "]";
}

Json arguments_of(const TaskConfig& task, const Question& question) {
  Json all = Json::object();
  if (task.type == OutputType::kGenerateUntil) {
    all["gen_args_0"] = {{"arg_0", question.context},
                         {"arg_1",
                          {{"until", task.generation.until},
                           {"max_gen_toks", task.generation.max_new_tokens},
                           {"do_sample", false}}}};
    return all;
  }
  for (size_t i = 0; i < question.continuations.size(); ++i) {
    Json& one = all[base::str_cat("gen_args_", i)];
    if (task.type == OutputType::kRolling) {
      one["arg_0"] = question.continuations[i];
    } else {
      one["arg_0"] = question.context;
      one["arg_1"] = question.continuations[i];
    }
  }
  return all;
}

// What the model said to each request, as texts.
Json responses_of(const TaskConfig& task, const Answer& answer) {
  Json all = Json::array();
  if (task.type == OutputType::kGenerateUntil) return Json::array({answer.text});
  for (size_t i = 0; i < answer.log_likelihoods.size(); ++i) {
    const std::string score = chat::represent_float(answer.log_likelihoods[i]);
    if (task.type == OutputType::kRolling)
      all.push_back(score);
    else
      all.push_back(Json::array({score, answer.greedy[i] ? "True" : "False"}));
  }
  return all;
}

Json value_of(const MetricResult& metric, size_t document) {
  if (metric.weights.empty()) return metric.items[document];
  return Json::array({metric.items[document], metric.weights[document]});
}

Json sample_line(const EvaluatedTask& evaluated, size_t filter, size_t document) {
  const TaskConfig& task = *evaluated.task;
  const Question& question = evaluated.questions[document];
  const Json responses = responses_of(task, evaluated.answers[document]);
  Json wrapped = Json::array();
  for (const Json& response : responses) wrapped.push_back(Json::array({response}));
  const bool generated = task.type == OutputType::kGenerateUntil;
  const std::string target = target_text(question.target);
  const std::string& prompt =
      task.type == OutputType::kRolling ? question.continuations.front() : question.context;
  Json original = question.document;
  // There no column is added: Python makes the target of the page.
  if (task.preprocessing == kWikitext) original.erase("text");
  const std::string hash = base::sha256(original.dump(2));
  Json line{{"doc_id", question.number},
            {"doc", std::move(original)},
            {"target", target},
            {"arguments", arguments_of(task, question)},
            {"resps", std::move(wrapped)},
            {"filtered_resps",
             generated ? Json::array({evaluated.result->filtered[filter][document]}) : responses},
            {"filter", task.filters[filter].name},
            {"metrics", Json::array()},
            {"doc_hash", hash},
            {"prompt_hash", base::sha256(prompt)},
            {"target_hash", base::sha256(target)}};
  for (const MetricResult& metric : evaluated.result->metrics) {
    if (metric.filter != task.filters[filter].name) continue;
    line["metrics"].push_back(metric.name);
    line[metric.name] = value_of(metric, document);
  }
  return line;
}

}  // namespace

base::Json results_json(std::span<const EvaluatedTask> tasks) {
  Json out = Json::object();
  for (const char* part :
       {"results", "configs", "versions", "n-shot", "higher_is_better", "n-samples"})
    out[part] = Json::object();
  for (const EvaluatedTask& evaluated : tasks) {
    const TaskConfig& task = *evaluated.task;
    const auto count = static_cast<int64_t>(evaluated.questions.size());
    Json& results = out["results"][task.name];
    results = {{"name", task.name}, {"alias", task.name}, {"sample_len", count}};
    for (const MetricResult& metric : evaluated.result->metrics) {
      results[key_of(metric)] = base::finite_or_null(metric.value);
      results[key_of(metric, "_stderr")] =
          metric.standard_error ? base::finite_or_null(*metric.standard_error) : Json("N/A");
      out["higher_is_better"][task.name][metric.name] = metric.higher_is_better;
    }
    out["configs"][task.name] = task.written;
    out["versions"][task.name] = task.version.is_null() ? Json("Yaml") : task.version;
    out["n-shot"][task.name] = evaluated.shots;
    out["n-samples"][task.name] = {{"effective", count}};
  }
  return out;
}

std::vector<base::Json> sample_lines(const EvaluatedTask& evaluated) {
  std::vector<Json> lines;
  for (size_t filter = 0; filter < evaluated.task->filters.size(); ++filter) {
    for (size_t document = 0; document < evaluated.questions.size(); ++document)
      lines.push_back(sample_line(evaluated, filter, document));
  }
  return lines;
}

}  // namespace frugal::tasks
