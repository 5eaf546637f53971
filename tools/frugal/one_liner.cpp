#include "one_liner.h"

#include <algorithm>
#include <charconv>

#include "base/hash.h"
#include "pass/option_reader.h"

namespace frugal::tool {
namespace fs = std::filesystem;
namespace {

// A name made of a file's stem or of what the user typed.
std::string name_from(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const std::string one(1, c);
    out += pass::is_name("x" + one) ? one : "-";
  }
  while (!out.empty() && (out[0] == '-' || out[0] == '.')) out.erase(0, 1);
  return out.empty() ? "data" : out;
}

// As it is typed.
std::string kebab(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

fs::path absolute(const std::string& path) {
  std::error_code error;
  fs::path out = fs::absolute(path, error).lexically_normal();
  return out.filename().empty() ? out.parent_path() : out;
}

class Builder {
 public:
  Builder(const PassArguments& arguments, const pass::Registry& registry, pass::Problems& problems)
      : arguments_(arguments), registry_(registry), problems_(problems) {}

  pass::Pipeline build() {
    const std::unique_ptr<pass::Pass> pass = find(arguments_.pass);
    pipeline_.name = run_name();
    pipeline_.description = base::str_cat("frugal ", arguments_.pass);
    pipeline_.seed = static_cast<uint64_t>(arguments_.seed);
    pass::StepEntry step;
    step.id = step.pass = arguments_.pass;
    step.position = step.pass_position = {};
    step.with.kind = pass::Node::Kind::kMap;
    step.with.position = step.position;
    if (pass->info().input == pass::Input::kCheckpoint) {
      add_model("input", arguments_.model, {0, 0, "MODEL"});
      step.from.push_back({"input", {0, 0, "MODEL"}});
    }
    for (const auto& [name, value] : arguments_.options) add_option(*pass, name, value, step);
    pipeline_.steps.push_back(std::move(step));
    add_export(*pass);
    pipeline_.sha256 = base::sha256(arguments_.run.command);
    return std::move(pipeline_);
  }

 private:
  std::unique_ptr<pass::Pass> find(const std::string& name) const {
    for (const pass::PassFactory factory : registry_) {
      if (auto pass = factory(); pass->info().name == name) return pass;
    }
    return nullptr;
  }

  std::string run_name() const {
    const fs::path from =
        arguments_.out.empty() ? fs::path(arguments_.model) : fs::path(arguments_.out);
    const std::string stem = absolute(from.string()).stem().string();
    return from.empty() ? arguments_.pass : name_from(base::str_cat(arguments_.pass, "-", stem));
  }

  void add_model(const std::string& name, const std::string& folder,
                 const pass::Position& position) {
    pipeline_.models.push_back({name, absolute(folder), "", position});
  }

  void add_option(pass::Pass& pass, const std::string& name, const std::string& value,
                  pass::StepEntry& step) {
    const pass::Position position{0, 0, base::str_cat("--", kebab(name))};
    std::string text = value;
    for (const pass::OptionDescription& option : pass::describe_options(pass)) {
      if (option.name != name || value.empty()) continue;
      if (option.type == "model") {
        add_model(name, value, position);
        text = name;
      } else if (option.type == "data") {
        text = add_data(name, value, position);
      } else if (option.type == "list of data") {
        text = add_data_list(value, position);
      }
    }
    step.with.members.push_back({name, position, pass::scalar_node(text, position, true)});
  }

  std::string add_data_list(const std::string& value, const pass::Position& position) {
    std::vector<std::string> names;
    for (const std::string& part : base::split(value, ',')) {
      const std::string stem =
          part.starts_with("builtin:") ? part.substr(8) : fs::path(part).stem().string();
      names.push_back(add_data(name_from(stem), part, position));
    }
    return base::join(names, ",");
  }

  // FILE, PATTERN, FOLDER or builtin:NAME[:SPLIT[:TASK]]. The same datum twice is one entry.
  std::string add_data(std::string name, const std::string& value, const pass::Position& position) {
    pass::DataEntry entry;
    entry.position = position;
    fill_templates(entry.source, position);
    if (value.starts_with("builtin:")) {
      const std::vector<std::string> parts = base::split(value.substr(8), ':');
      entry.source.builtin = parts[0];
      if (parts.size() > 1) entry.source.split = parts[1];
      if (parts.size() > 2) entry.source.task = parts[2];
      entry.source.seed = pipeline_.seed;
    } else {
      fill_path(entry.source, absolute(value));
    }
    for (int copy = 2; pipeline_.find_data(name) != nullptr; ++copy)
      name = base::str_cat(name, "-", copy);
    entry.name = name;
    pipeline_.data.push_back(std::move(entry));
    return name;
  }

  static void fill_path(text::DataSource& source, const fs::path& path) {
    std::error_code error;
    const std::string suffix = path.extension().string();
    if (suffix == ".jsonl") {
      source.jsonl = path.string();
    } else if (suffix == ".tsv") {
      source.table = path.string();
    } else if (fs::is_directory(path, error)) {
      source.text.push_back((path / "*.txt").string());
    } else {
      source.text.push_back(path.string());
    }
  }

  void fill_templates(text::DataSource& source, const pass::Position& position) {
    source.prompt = arguments_.data_prompt;
    source.completion = arguments_.data_completion;
    source.split = arguments_.data_split;
    source.limit = arguments_.data_limit;
    source.tokens = arguments_.data_tokens;
    source.sequence_length = arguments_.data_sequence_length;
    for (const std::string& label : arguments_.data_labels) {
      const size_t equals = label.find('=');
      if (equals == std::string::npos) {
        problems_.add(position, "--data-label ", label, ": expected RAW=TEXT");
      } else {
        source.labels[label.substr(0, equals)] = label.substr(equals + 1);
      }
    }
  }

  // A checkpoint that is to become a .gguf or an ONNX folder.
  void add_export(const pass::Pass& pass) {
    if (arguments_.out.empty() || pass.info().output != pass::Output::kCheckpoint) return;
    const fs::path out = absolute(arguments_.out);
    std::string format, stem = out.stem().string();
    if (out.extension() == ".gguf") format = "gguf";
    if (out.extension() == ".onnx" || out.filename().string().ends_with("-onnx")) format = "onnx";
    if (format.empty()) return;
    if (stem.ends_with("-onnx")) stem.resize(stem.size() - 5);
    const pass::Position position{0, 0, "--out"};
    pass::StepEntry step;
    step.id = step.pass = "export";
    step.position = step.pass_position = position;
    step.with.kind = pass::Node::Kind::kMap;
    step.with.position = position;
    step.from.push_back({arguments_.pass, position});
    step.with.members.push_back({"format", position, pass::scalar_node(format, position, true)});
    step.with.members.push_back({"name", position, pass::scalar_node(stem, position, true)});
    pipeline_.steps.push_back(std::move(step));
  }

  const PassArguments& arguments_;
  const pass::Registry& registry_;
  pass::Problems& problems_;
  pass::Pipeline pipeline_;
};

}  // namespace

pass::Pipeline pipeline_of(const PassArguments& arguments, const pass::Registry& registry,
                           pass::Problems& problems) {
  return Builder(arguments, registry, problems).build();
}

}  // namespace frugal::tool
