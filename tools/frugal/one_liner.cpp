#include "one_liner.h"

#include <algorithm>
#include <charconv>

#include "artifact/exporter.h"
#include "base/file.h"
#include "base/file_kind.h"
#include "base/hash.h"
#include "pass/option_reader.h"
#include "tasks/inputs.h"
#include "text/data_file.h"

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

// "\\n" and "\\t" as a shell hands them over become what they stand for.
std::string with_line_breaks(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    const bool escape = next == 'n' || next == 't' || next == '\\';
    out += !escape ? text[i] : next == 'n' ? '\n' : next == 't' ? '\t' : '\\';
    i += escape;
  }
  return out;
}

fs::path absolute(const std::string& path) {
  std::error_code error;
  fs::path out = fs::absolute(path, error).lexically_normal();
  return out.filename().empty() ? out.parent_path() : out;
}

// The task files that come with frugal: beside an installed executable, or in the source tree that
// this one was built in.
fs::path tasks_folder() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : {"../../share/frugal/tasks", "../../../configs/tasks"}) {
    if (fs::is_directory(folder / place, error)) return (folder / place).lexically_normal();
  }
  return {};
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
    check_data_folder();
    choose_format(step);
    choose_name(step);
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
        text = add_data_list(value, position, name == "tasks");
      }
    }
    step.with.members.push_back({name, position, pass::scalar_node(text, position, true)});
  }

  std::string add_data_list(const std::string& value, const pass::Position& position,
                            bool are_tasks) {
    std::error_code error;
    const bool one = fs::exists(absolute(value), error);  // a name with a comma
    std::vector<std::string> names;
    for (const std::string& part : one ? std::vector{value} : base::split(value, ',')) {
      names.push_back(add_data(stem_of(part), part, position, are_tasks));
    }
    return base::join(names, ",");
  }

  // Of one part of a mixture: "wiki.txt:2" is {"wiki.txt", 2}.
  static std::pair<std::string, double> with_weight(const std::string& part) {
    const size_t colon = part.rfind(':');
    if (colon == std::string::npos) return {part, 1};
    double weight = 1;
    const char* const last = part.data() + part.size();
    const auto [end, error] = std::from_chars(part.data() + colon + 1, last, weight);
    if (error != std::errc() || end != last) return {part, 1};
    return {part.substr(0, colon), weight};
  }

  std::string stem_of(const std::string& value) const {
    return name_from(value.starts_with("builtin:") ? value.substr(8)
                                                   : fs::path(value).stem().string());
  }

  // PART[:WEIGHT],…
  std::string add_mix(std::string name, const std::vector<std::string>& parts,
                      const pass::Position& position) {
    pass::DataEntry entry;
    entry.position = position;
    entry.source.tokens = arguments_.data_tokens;
    entry.source.sequence_length = arguments_.data_sequence_length;
    for (const std::string& text : parts) {
      const auto [value, weight] = with_weight(text);
      const std::string part = add_data(stem_of(value), value, position);
      text::DataSource& source = pipeline_.data.back().source;
      if (source.self) source = pass::self_data(pipeline_.seed);
      source.tokens = source.sequence_length = 0;
      entry.source.mix.push_back({part, weight, std::make_shared<const text::DataSource>(source)});
    }
    return add_entry(std::move(name), std::move(entry));
  }

  std::string add_entry(std::string name, pass::DataEntry entry) {
    const std::string stem = name;
    for (int copy = 2; pipeline_.find_data(name) != nullptr; ++copy)
      name = base::str_cat(stem, "-", copy);
    entry.name = name;
    pipeline_.data.push_back(std::move(entry));
    return name;
  }

  // FILE, PATTERN, FOLDER, builtin:NAME[:SPLIT[:TASK]], self, or several of them.
  // `is_task`: of an option that takes the names of tasks.
  std::string add_data(std::string name, const std::string& value, const pass::Position& position,
                       bool is_task = false) {
    std::error_code error;
    if (const auto parts = base::split(value, ',');
        parts.size() > 1 && !fs::exists(absolute(value), error))
      return add_mix(std::move(name), parts, position);
    pass::DataEntry entry;
    entry.position = position;
    fill_templates(entry.source, position);  // what does not fit text of its own, the plan refuses
    if (value == pass::kSelfData) {
      entry.source.self = true;
      entry.source.seed = pipeline_.seed;
      return add_entry("own-text", std::move(entry));
    }
    if (value.starts_with("builtin:")) {
      const std::vector<std::string> parts = base::split(value.substr(8), ':');
      entry.source.builtin = parts[0];
      if (parts.size() > 1) entry.source.split = parts[1];
      if (parts.size() > 2) entry.source.task = parts[2];
      entry.source.seed = pipeline_.seed;
    } else if (const fs::path task = task_file(value); !task.empty()) {
      fill_task(entry.source, task, position);
    } else if (is_task && names_no_file(value)) {
      problems_.add(position, "'", value,
                    "' is no file, and no task of that name comes with frugal",
                    base::suggestion(value, tasks::task_names(tasks_folder())));
      entry.source.task_file = absolute(value).string();
    } else {
      fill_path(entry.source, absolute(value));
    }
    return add_entry(std::move(name), std::move(entry));
  }

  // FILE.yaml, or the name of a task that comes with frugal where no file has it. Empty: neither.
  static fs::path task_file(const std::string& value) {
    const fs::path path = absolute(value);
    std::error_code error;
    if (fs::exists(path, error)) {
      const std::string suffix = base::suffix_of(path);
      return suffix == ".yaml" || suffix == ".yml" ? path : fs::path();
    }
    return tasks::named_task(value, tasks_folder());
  }

  // A plain word that could be a task's name, and nothing of that name is there.
  static bool names_no_file(const std::string& value) {
    std::error_code error;
    return value.find_first_of("/.*?") == std::string::npos && !fs::exists(absolute(value), error);
  }

  void fill_task(text::DataSource& source, const fs::path& file, const pass::Position& position) {
    source.task_file = file.string();
    if (!arguments_.data_folder.empty()) source.folder = absolute(arguments_.data_folder).string();
    if (const absl::Status status = tasks::find_inputs(source); !status.ok())
      problems_.add(position, status.message());
  }

  void check_data_folder() {
    const auto is_task = [](const pass::DataEntry& entry) {
      return !entry.source.task_file.empty();
    };
    if (arguments_.data_folder.empty() ||
        std::any_of(pipeline_.data.begin(), pipeline_.data.end(), is_task))
      return;
    problems_.add({0, 0, "--data-folder"},
                  base::str_cat("none of the data is a task file, which takes its documents from "
                                "it; leave it out, or name a task's file, or one of ",
                                base::join(tasks::task_names(tasks_folder()), ", ")));
  }

  // What a file is, its content says.
  static void fill_path(text::DataSource& source, const fs::path& path) {
    std::error_code error;
    if (fs::is_directory(path, error)) {
      source.text.push_back((path / "*.txt").string());
      return;
    }
    if (!fs::is_regular_file(path, error)) {  // a pattern, or nothing: the plan says which
      source.text.push_back(path.string());
      return;
    }
    const auto head = text::read_data_head(path);  // an error: the plan says it
    switch (head.ok() ? text::data_form(*head, path) : text::DataForm::kText) {
      case text::DataForm::kJsonLines:
      case text::DataForm::kJsonArray:
        source.jsonl = path.string();
        break;
      case text::DataForm::kTable:
        source.table = path.string();
        break;
      case text::DataForm::kText:
        source.text.push_back(path.string());
    }
  }

  void fill_templates(text::DataSource& source, const pass::Position& position) {
    source.prompt = with_line_breaks(arguments_.data_prompt);
    source.completion = with_line_breaks(arguments_.data_completion);
    source.chat = arguments_.data_chat;
    source.system = arguments_.data_system;
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

  // The format that the name of --out asks for; empty: a folder, which may have any name.
  static std::string format_of(const fs::path& out) {
    const artifact::Exporter* exporter = artifact::exporter_of(out);
    return exporter == nullptr ? "" : std::string(exporter->name);
  }

  // What a user who names a file so expects is not what would stand there.
  void refuse_file_names(const fs::path& out) {
    const std::string suffix = base::suffix_of(out);
    for (const char* file : {".safetensors", ".bin", ".pt", ".pth", ".ggml", ".tflite", ".zip"}) {
      if (suffix != file) continue;
      problems_.add({0, 0, "--out"}, "'", out.filename().string(), "' is named like a ", suffix,
                    " file, and the result would be a folder; name a folder (a Hugging Face "
                    "checkpoint), FILE.gguf, or FOLDER-onnx");
    }
  }

  // What --out asks for that the pass cannot give.
  void check_out() {
    if (arguments_.out.empty()) return;
    const fs::path out = absolute(arguments_.out);
    refuse_file_names(out);
    std::error_code error;
    if (fs::exists(out, error) && !arguments_.force)
      problems_.add({0, 0, "--out"}, "'", arguments_.out, "' exists; give --force to replace it");
    const std::string asked = format_of(out), given = given_format();
    if (arguments_.pass != "export" || given.empty() || asked.empty() || asked == given) return;
    problems_.add({0, 0, "--out"}, "format ", given, " does not go with the name '",
                  out.filename().string(), "'; give --format ", asked, ", or another name");
  }

  // An option as it was typed; empty: not given.
  std::string given(std::string_view option) const {
    for (const auto& [name, value] : arguments_.options) {
      if (name == option) return value;
    }
    return "";
  }
  std::string given_format() const { return given("format"); }  // empty: left to the name of --out

  // export: an artifact is called as the file or folder that it comes to, so that its card names
  // what is there; those of several formats as the folder that holds them.
  void choose_name(pass::StepEntry& step) const {
    const bool several = given_format().find(',') != std::string::npos;
    if (arguments_.pass != "export" || arguments_.out.empty() || !given("name").empty()) return;
    const fs::path out = absolute(arguments_.out);
    const artifact::Exporter* exporter = artifact::exporter_of(out);
    if (!several && exporter == nullptr) return;
    const pass::Position position{0, 0, "--out"};
    const std::string name = several ? out.filename().string() : artifact::stem_of(out, *exporter);
    step.with.members.push_back({"name", position, pass::scalar_node(name, position, true)});
  }

  // export: the name of --out chooses the format where no option does.
  void choose_format(pass::StepEntry& step) const {
    if (arguments_.pass != "export" || arguments_.out.empty() || !given_format().empty()) return;
    const std::string format = format_of(absolute(arguments_.out));
    const pass::Position position{0, 0, "--out"};
    if (!format.empty())
      step.with.members.push_back({"format", position, pass::scalar_node(format, position, true)});
  }

  // A checkpoint that is to become a .gguf or an ONNX folder.
  void add_export(const pass::Pass& pass) {
    check_out();
    if (arguments_.out.empty() || pass.info().output != pass::Output::kCheckpoint) return;
    const fs::path out = absolute(arguments_.out);
    const artifact::Exporter* exporter = artifact::exporter_of(out);
    if (exporter == nullptr) return;
    const std::string format(exporter->name), stem = artifact::stem_of(out, *exporter);
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
