#include "pass/pipeline.h"

#include <algorithm>
#include <cmath>

#include "base/hash.h"
#include "pass/map_reader.h"
#include "pass/options.h"
#include "pass/substitute.h"
#include "pass/yaml.h"
#include "tasks/inputs.h"

namespace frugal::pass {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kSchema = 1;
const std::vector<std::string> kDataKinds = {"text", "jsonl", "table",    "builtin",
                                             "mix",  "self",  "task_file"};

class PipelineReader {
 public:
  PipelineReader(const fs::path& folder, Problems& problems)
      : folder_(folder), problems_(problems) {}

  Pipeline read(const Node& root) {
    const MapReader top(root, "the pipeline",
                        {"frugal", "name", "description", "seed", "vars", "models", "data", "steps",
                         "report", "inputs"},
                        problems_);
    if (!root.is_map()) return std::move(out_);
    if (const Node* node = top.require("frugal", "the schema version, 1")) {
      if (as_integer(*node) != kSchema) top.wrong(*node, "frugal", "1, the only schema version");
    }
    if (top.require("name", "the name of the run folder")) top.text("name", out_.name);
    if (!out_.name.empty() && !is_name(out_.name)) {
      problems_.add(top.position_of("name"), name_rule(out_.name));
    }
    top.text("description", out_.description);
    int64_t seed = 1;
    top.integer("seed", 0, "", seed);
    out_.seed = static_cast<uint64_t>(seed);
    if (const Node* node = top.get("models")) read_models(*node);
    if (const Node* node = top.get("data")) read_data(*node);
    if (const Node* node = top.require("steps", "what to do")) read_steps(*node);
    if (const Node* node = top.get("report")) read_report(*node);
    if (const Node* node = top.get("inputs")) read_inputs(*node);
    return std::move(out_);
  }

 private:
  static std::string name_rule(std::string_view name) {
    return base::str_cat("'", name, "' is no name: expected letters, digits, '_', '-' and '.', ",
                         "not beginning with '-' or '.'");
  }

  std::string absolute(const std::string& path) const {
    if (path.empty()) return path;
    return (folder_ / path).lexically_normal().string();
  }

  void read_models(const Node& node) {
    if (!node.is_map()) {
      problems_.add(node.position, "'models' is ", describe(node), ", expected name: folder");
      return;
    }
    for (const Member& member : node.members) {
      if (!is_name(member.key)) problems_.add(member.position, name_rule(member.key));
      const auto folder = as_text(member.value);
      if (!folder || folder->empty()) {
        problems_.add(member.value.position, "model '", member.key, "' is ", describe(member.value),
                      ", expected the path of a Hugging Face folder or of a .gguf file");
      }
      fs::path path = absolute(folder.value_or(""));
      if (path.filename().empty()) path = path.parent_path();
      out_.models.push_back({member.key, path, "", member.value.position});
    }
  }

  void read_data(const Node& node) {
    if (!node.is_map()) {
      problems_.add(node.position, "'data' is ", describe(node), ", expected name: {text: …}");
      return;
    }
    for (const Member& member : node.members) {
      if (!is_name(member.key)) problems_.add(member.position, name_rule(member.key));
      out_.data.push_back({member.key, read_datum(member), "", member.position});
    }
    resolve_parts();
  }

  text::DataSource read_datum(const Member& member) {
    const MapReader datum(
        member.value, base::str_cat("data '", member.key, "'"),
        {"text",       "jsonl", "table",  "builtin", "mix",       "self",   "prompt",
         "completion", "chat",  "system", "labels",  "limit",     "tokens", "sequence_length",
         "split",      "task",  "seed",   "same_as", "task_file", "folder"},
        problems_);
    text::DataSource source;
    if (!member.value.is_map()) return source;
    copy_templates(datum, member, source);
    read_origin(datum, member, source);
    datum.text("prompt", source.prompt);
    datum.text("completion", source.completion);
    datum.truth("chat", source.chat);
    datum.text("system", source.system);
    // What is wrong with `chat` was said; that `system` needs it would only follow from that.
    if (const Node* chat = member.value.find("chat"); chat != nullptr && !as_bool(*chat))
      source.system.clear();
    if (const Node* labels = datum.get("labels")) read_labels(datum, *labels, source);
    datum.integer("limit", 0, "examples", source.limit);
    datum.integer("tokens", 0, "tokens", source.tokens);
    datum.integer("sequence_length", 0, "tokens", source.sequence_length);
    datum.text("split", source.split);
    datum.text("task", source.task);
    int64_t seed = static_cast<int64_t>(out_.seed);
    datum.integer("seed", 0, "", seed);
    source.seed = static_cast<uint64_t>(seed);
    for (const char* key : {"split", "task", "seed"}) {
      if (source.self && std::string_view(key) == "seed") continue;
      if (source.builtin.empty() && member.value.find(key) != nullptr) {
        problems_.add(datum.position_of(key), "'", key, "' is only for builtin data");
      }
    }
    return source;
  }

  // Templates, labels and limits of another entry; what this one says itself is put over them.
  void copy_templates(const MapReader& datum, const Member& member, text::DataSource& source) {
    std::string other;
    datum.text("same_as", other);
    if (other.empty()) return;
    const DataEntry* entry = out_.find_data(other);
    if (entry != nullptr) {
      source = entry->source;
      source.text.clear();
      source.jsonl = source.table = source.builtin = source.split = source.task = "";
      source.mix.clear();
      source.self = false;
      source.task_file = source.folder = "";
      source.task_inputs.clear();
      return;
    }
    std::vector<std::string> names;
    for (const DataEntry& known : out_.data) names.push_back(known.name);
    problems_.add(datum.position_of("same_as"), "data '", member.key, "' is the same as '", other,
                  "', which is not above it", base::suggestion(other, names));
  }

  void read_origin(const MapReader& datum, const Member& member, text::DataSource& source) {
    std::vector<std::string> given;
    for (const std::string& kind : kDataKinds) {
      if (member.value.find(kind) != nullptr) given.push_back(kind);
    }
    if (given.size() != 1) {
      problems_.add(member.value.position, "data '", member.key, "' has ",
                    given.empty() ? "no origin" : base::str_cat(base::join(given, " and ")),
                    ", expected exactly one of ", base::join(kDataKinds, ", "));
    }
    if (const Node* node = datum.get("text")) {
      for (const Node& item : node->is_sequence() ? node->items : std::vector<Node>{*node}) {
        const auto path = as_text(item);
        if (path && !path->empty()) {
          source.text.push_back(absolute(*path));
        } else {
          datum.wrong(item, "text", "the path of a text file, or a pattern such as texts/*.txt");
        }
      }
    }
    datum.text("jsonl", source.jsonl);
    datum.text("table", source.table);
    source.jsonl = absolute(source.jsonl);
    source.table = absolute(source.table);
    datum.text("builtin", source.builtin);
    if (const Node* node = datum.get("mix")) read_mix(datum, *node, source);
    datum.truth("self", source.self);
    read_task_file(datum, member, source);
    if (member.key == kSelfData && !source.self) {
      problems_.add(member.position, "data '", member.key,
                    "': this name stands for text that the model writes itself; take another");
    }
  }

  void read_task_file(const MapReader& datum, const Member& member, text::DataSource& source) {
    datum.text("task_file", source.task_file);
    datum.text("folder", source.folder);
    if (source.task_file.empty()) return;
    source.task_file = absolute(source.task_file);
    source.folder = absolute(source.folder);
    if (const absl::Status status = tasks::find_inputs(source); !status.ok())
      problems_.add(datum.position_of("task_file"), "data '", member.key, "': ", status.message());
  }

  // {name: weight} or [name, …] of other entries, which may be below: resolve_parts() finds them.
  void read_mix(const MapReader& datum, const Node& node, text::DataSource& source) {
    if ((!node.is_map() || node.members.empty()) && (!node.is_sequence() || node.items.empty()))
      return datum.wrong(node, "mix", "the weight of each of several data: {name: weight, …}");
    for (const Node& item : node.items) {
      const auto name = as_text(item);
      if (!name) return datum.wrong(item, "mix", "names of data");
      source.mix.push_back({*name, 1, nullptr});
    }
    for (const Member& part : node.members) {
      const auto weight = as_number(part.value);
      if (!weight) return datum.wrong(part.value, part.key, "a number, its weight");
      source.mix.push_back({part.key, *weight, nullptr});
    }
  }

  void resolve_parts() {
    std::vector<std::string> names{std::string(kSelfData)};
    for (const DataEntry& known : out_.data) names.push_back(known.name);
    for (DataEntry& entry : out_.data) {
      for (text::MixPart& part : entry.source.mix) {
        const DataEntry* other = out_.find_data(part.name);
        if (other == nullptr && part.name != kSelfData) {
          problems_.add(entry.position, "data '", entry.name, "' mixes '", part.name,
                        "', which is no data", base::suggestion(part.name, names));
        }
        part.source = std::make_shared<const text::DataSource>(
            other != nullptr && other != &entry ? other->source : self_data(out_.seed));
        if (other == &entry) problems_.add(entry.position, "data '", entry.name, "' mixes itself");
      }
    }
  }

  void read_labels(const MapReader& datum, const Node& labels, text::DataSource& source) {
    source.labels.clear();
    if (!labels.is_map()) return datum.wrong(labels, "labels", "raw label: text");
    for (const Member& label : labels.members) {
      Node value = label.value;
      value.loose = true;  // {"1": 1} is as clear as {"1": "1"}
      if (const auto text = as_text(value)) {
        source.labels[label.key] = *text;
      } else {
        datum.wrong(label.value, label.key, "the text of a label");
      }
    }
  }

  void read_steps(const Node& node) {
    if (!node.is_sequence() || node.items.empty()) {
      problems_.add(node.position, "'steps' is ", describe(node), ", expected a list of steps");
      return;
    }
    for (const Node& item : node.items) read_step(item);
  }

  void read_step(const Node& node) {
    const MapReader step(node, "a step", {"id", "pass", "from", "with", "matrix"}, problems_);
    if (!node.is_map()) return;
    StepEntry entry;
    entry.position = step.position_of("id");
    entry.pass_position = step.position_of("pass");
    if (step.require("pass", "what to do, a name of `frugal passes`"))
      step.text("pass", entry.pass);
    if (step.require("id", "its name in the run folder")) step.text("id", entry.id);
    check_id(entry);
    if (const Node* from = step.get("from")) read_from(step, *from, entry);
    if (const Node* with = step.get("with")) entry.with = *with;
    if (node.find("with") == nullptr) entry.with.position = entry.position;
    if (const Node* matrix = step.get("matrix")) read_matrix(step, *matrix, entry);
    out_.steps.push_back(std::move(entry));
  }

  void check_id(const StepEntry& entry) {
    if (entry.id.empty()) return;
    if (!is_name(entry.id)) problems_.add(entry.position, name_rule(entry.id));
    for (const StepEntry& other : out_.steps) {
      if (other.id != entry.id) continue;
      problems_.add(entry.position, "the step '", entry.id, "' stands twice; first in line ",
                    other.position.line);
    }
    if (out_.find_model(entry.id) != nullptr) {
      problems_.add(entry.position, "'", entry.id, "' is already the name of a model");
    }
  }

  void read_from(const MapReader& step, const Node& from, StepEntry& entry) {
    entry.from_is_list = from.is_sequence();
    for (const Node& item : from.is_sequence() ? from.items : std::vector<Node>{from}) {
      if (const auto name = as_text(item); name && !name->empty()) {
        entry.from.push_back({*name, item.position});
      } else {
        step.wrong(item, "from", "the name of a model or of an earlier step");
      }
    }
    if (from.is_sequence() && from.items.empty()) step.wrong(from, "from", "at least one name");
  }

  void read_matrix(const MapReader& step, const Node& matrix, StepEntry& entry) {
    if (!matrix.is_map()) return step.wrong(matrix, "matrix", "option: [values]");
    for (const Member& member : matrix.members) {
      if (!member.value.is_sequence() || member.value.items.empty()) {
        problems_.add(member.value.position, "the matrix of '", member.key, "' is ",
                      describe(member.value), ", expected a list of values");
        continue;
      }
      if (entry.with.is_map() && entry.with.find(member.key) != nullptr) {
        problems_.add(member.position, "'", member.key, "' stands in 'with' and in 'matrix'");
      }
      entry.matrix.push_back({member.key, member.value.items, member.position});
    }
  }

  void read_report(const Node& node) {
    const MapReader report(node, "the report", {"baseline", "claim", "site"}, problems_);
    if (!node.is_map()) return;
    report.text("baseline", out_.report.baseline.name);
    out_.report.baseline.position = report.position_of("baseline");
    std::string site;
    report.text("site", site);
    out_.report.site = absolute(site);
    std::error_code error;
    if (!site.empty() && !fs::is_regular_file(out_.report.site, error)) {
      problems_.add(report.position_of("site"), "there is no file '", out_.report.site.string(),
                    "'");
    }
    if (const Node* claim = report.get("claim")) read_claim(*claim);
  }

  void read_claim(const Node& node) {
    const MapReader reader(node, "the claim", {"metric", "margin", "kind", "gate"}, problems_);
    if (!node.is_map()) return;
    Claim claim;
    if (reader.require("metric", "task/measure, such as reviews/acc")) {
      reader.text("metric", claim.metric);
    }
    if (const Node* margin = reader.require("margin", "the loss that is still acceptable")) {
      const auto value = as_number(*margin);
      if (value && *value > 0 && *value <= 1) {
        claim.margin = *value;
      } else {
        const bool percent = value && *value > 1 && *value <= 100;
        reader.wrong(*margin, "margin",
                     base::str_cat("a number above 0, at most 1",
                                   percent ? base::str_cat("; ", *value, "% is ", *value / 100)
                                           : std::string()));
      }
    }
    reader.choice("kind", {"absolute", "relative"}, claim.kind);
    reader.choice("gate", {"none", "any", "all"}, claim.gate);
    out_.report.claim = claim;
    out_.report.claim_position = node.position;
  }

  void read_inputs(const Node& node) {
    const MapReader inputs(node, "inputs", {"models", "data"}, problems_);
    if (!node.is_map()) return;
    if (const Node* models = inputs.get("models")) read_hashes(inputs, *models, out_.models);
    if (const Node* data = inputs.get("data")) read_hashes(inputs, *data, out_.data);
  }
  template <typename Entry>
  void read_hashes(const MapReader& inputs, const Node& node, std::vector<Entry>& entries) {
    if (!node.is_map()) return inputs.wrong(node, "hashes", "name: hash");
    for (const Member& member : node.members) {
      const auto found = std::find_if(entries.begin(), entries.end(),
                                      [&](const Entry& entry) { return entry.name == member.key; });
      Node value = member.value;
      value.loose = true;
      const auto hash = as_text(value);
      if (found == entries.end() || !hash) {
        problems_.add(member.position, "inputs: '", member.key, "' is not the name of an input");
      } else {
        found->expected_hash = *hash;
      }
    }
  }

  fs::path folder_;
  Problems& problems_;
  Pipeline out_;
};

template <typename Entry>
const Entry* find_entry(const std::vector<Entry>& entries, std::string_view name) {
  for (const Entry& entry : entries) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace

bool is_name(std::string_view text) {
  if (text.empty() || text[0] == '.' || text[0] == '-' || text.size() > 200) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

const ModelEntry* Pipeline::find_model(std::string_view name) const {
  return find_entry(models, name);
}
text::DataSource self_data(uint64_t seed) { return {.self = true, .seed = seed}; }

const DataEntry* Pipeline::find_data(std::string_view name) const { return find_entry(data, name); }

Pipeline parse_pipeline(std::string_view text, const fs::path& folder, const Settings& settings,
                        Problems& problems) {
  Node root = parse_yaml(text, problems);
  Pipeline pipeline;
  if (root.kind == Node::Kind::kNull) {
    if (problems.empty()) problems.add({}, "the file is empty; expected a pipeline");
    return pipeline;
  }
  if (root.is_map()) {
    const auto values = variable_values(root.find("vars"), settings, problems);
    for (Member& member : root.members) {
      if (member.key != "vars") substitute(member.value, values, problems);
    }
  }
  std::error_code error;
  // The folder of a file that is named alone is empty, which absolute() would leave so.
  pipeline =
      PipelineReader(fs::absolute(folder.empty() ? "." : folder, error), problems).read(root);
  pipeline.sha256 = base::sha256(text);
  return pipeline;
}

}  // namespace frugal::pass
