#include "cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>
#include <list>
#include <map>

#include "artifact/importer.h"
#include "commands.h"
#include "grid/cpu_level.h"
#include "pass/option_reader.h"
#include "pass/runner.h"
#include "passes/registry.h"
#include "session.h"

namespace frugal::tool {
namespace {

constexpr const char* kFooter = R"(
Examples
  frugal quantize ./Llama-3.2-1B --grid q4_k --calibration text.txt --out llama-q4_k.gguf
  frugal run pipelines/quickstart.yaml
  frugal plan pipelines/quickstart.yaml
  frugal inspect llama-q4_k.gguf
  frugal import llama-q4_k.gguf -o llama
  frugal meter -- llama-cli -m llama-q4_k.gguf -p "Hello" -n 64

Exit codes: 0 done, 1 a step failed, 2 usage or pipeline error, 3 a gate was not met, 130 interrupted.)";

std::string kebab(std::string text) {
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

// A shell would read the word back as it is.
std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("-_./=:,+@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

class CommandLine {
 public:
  CommandLine(int argc, char** argv) : argc_(argc), argv_(argv) {
    app_.description(
        "frugal: distill, prune and quantize language models, and say what it cost and what it "
        "saves.");
    app_.footer(kFooter);
    app_.set_version_flag("--version", std::string("frugal ") + FRUGAL_VERSION);
    app_.require_subcommand(0, 1);
    app_.allow_extras();
    app_.failure_message([](const CLI::App*, const CLI::Error& error) {
      return std::string("frugal: ") + error.what() + "; see --help\n";
    });
    for (int i = 0; i < argc; ++i) {
      command_ += (i == 0 ? "frugal" : " " + quoted(argv[i]));
    }
    add_run();
    add_plan();
    add_tools();
    for (const pass::PassFactory factory : passes::registry()) add_pass(factory);
  }

  int run() {
    if (const auto level = grid::cpu_level(); !level.ok())
      return fail(base::as_std(level.status().message()), pass::kExitUsage);
    try {
      app_.parse(argc_, argv_);
    } catch (const CLI::ParseError& error) {
      return app_.exit(error) == 0 ? pass::kExitDone : pass::kExitUsage;
    }
    const std::vector<CLI::App*> chosen = app_.get_subcommands();
    if (!app_.remaining().empty()) return unknown_command(app_.remaining()[0]);
    if (chosen.empty()) {
      std::fputs(app_.help().c_str(), stdout);
      return pass::kExitUsage;
    }
    if (chosen[0]->remaining_size() > 0) return unknown_option(*chosen[0]);
    return actions_.at(chosen[0])();
  }

 private:
  CLI::App* add(const std::string& name, const std::string& help, const std::string& examples,
                std::function<int()> action) {
    CLI::App* command = app_.add_subcommand(name, help);
    command->footer(examples.empty() ? "" : "\nExamples\n" + examples);
    command->allow_extras();  // reported by unknown_option, with the nearest name
    actions_[command] = std::move(action);
    return command;
  }

  // A pass may have an option of the same name; then that one counts.
  static bool is_free(CLI::App* command, const std::string& name) {
    return command->get_option_no_throw(name) == nullptr;
  }

  void add_run_options(CLI::App* command, RunArguments& arguments, bool runs) {
    arguments.command = command_;
    if (is_free(command, "--cache")) {
      command->add_option("--cache", arguments.cache,
                          "Cache of finished steps (default: .cache beside the run folder)");
    }
    if (is_free(command, "--json")) {
      command->add_flag("--json", arguments.json,
                        runs ? "Print the journal as JSON lines" : "Print JSON");
    }
    if (is_free(command, "--device")) {
      command->add_option("--device", arguments.device, "auto, cpu, cuda or cuda:N")
          ->capture_default_str();
    }
    if (!runs) return;
    if (is_free(command, "--hardware")) {
      command->add_option("--hardware", arguments.hardware,
                          "Profile of the CPU (configs/hardware) for modelled energy");
    }
    if (is_free(command, "--idle-seconds")) {
      command
          ->add_option("--idle-seconds", arguments.idle_seconds,
                       "Idle power is measured this long before and after")
          ->capture_default_str()
          ->check(CLI::Range(0.0, 3600.0));
    }
    if (is_free(command, "--quiet")) {
      command->add_flag("--quiet,-q", arguments.quiet, "Only warnings and errors");
    }
  }

  void add_run() {
    PipelineArguments& arguments = pipeline_arguments_.emplace_back();
    CLI::App* command =
        add("run", "Run a pipeline",
            "  frugal run pipelines/quickstart.yaml\n"
            "  frugal run student.yaml --set teacher=/models/llama --device cuda --out runs/first\n"
            "Finished steps come from the cache; after an interruption the same command goes on.",
            [&arguments] { return run_pipeline(arguments); });
    command->add_option("PIPELINE", arguments.file, "The pipeline file")->required();
    command->add_option("--set", arguments.settings, "NAME=VALUE: a variable of the file's vars:")
        ->allow_extra_args(false);
    command->add_option("--out", arguments.run.out, "Run folder (default: runs/<name>)");
    command->add_option("--until", arguments.run.until, "The last step to run");
    add_run_options(command, arguments.run, true);
  }

  void add_plan() {
    PipelineArguments& arguments = pipeline_arguments_.emplace_back();
    CLI::App* command =
        add("plan", "Check a pipeline and show what would run, without touching weights",
            "  frugal plan pipelines/quickstart.yaml",
            [&arguments] { return plan_pipeline(arguments); });
    command->add_option("PIPELINE", arguments.file, "The pipeline file")->required();
    command->add_option("--set", arguments.settings, "NAME=VALUE: a variable of the file's vars:")
        ->allow_extra_args(false);
    command->add_option("--out", arguments.run.out,
                        "Run folder whose cache is looked at (default: runs/<name>)");
    command->add_option("--until", arguments.run.until, "The last step to plan");
    add_run_options(command, arguments.run, false);
  }

  void add_tools() {
    CLI::App* report =
        add("report", "Draw report.html, report.json and report.csv again from a run's journal",
            "  frugal report runs/quickstart\n  frugal report runs/quickstart --exports",
            [this] { return draw_report(path_, exports_); });
    report->add_option("RUN", path_, "A run folder")->required();
    report->add_flag("--exports", exports_,
                     "Write boamps/ (BoAmps), impact-framework.yaml (Impact Framework) and "
                     "esrs-e1.json and .csv (CSRD: ESRS E1-5, E1-6), too");
    add("verify",
        "Check a run: joules from raw readings, quality from items, every file by hash, the report "
        "drawn again",
        "  frugal verify runs/quickstart\nWithout frugal: cd runs/quickstart && sha256sum -c "
        "SHA256SUMS",
        [this] { return verify_run(path_); })
        ->add_option("RUN", path_, "A run folder")
        ->required();
    CLI::App* compare =
        add("compare",
            "Several runs in one table and page: cost and quality of their models, what may be "
            "ranked and what may not",
            "  frugal compare runs/smollm2-a runs/smollm2-b --out comparison\n"
            "Writes compare.html, compare.json and compare.csv. Numbers of different machines, "
            "meters, runtimes or items\nstand side by side and are not ranked.",
            [this] { return compare_runs(paths_, compare_out_, json_); });
    compare->add_option("RUN", paths_, "Run folders")->required();
    compare->add_option("--out", compare_out_, "Folder of the files")->capture_default_str();
    compare->add_flag("--json", json_, "Print the comparison as JSON");
    CLI::App* inspect = add(
        "inspect",
        "Show what is in a model folder (packed ones, too), .gguf, .onnx or .safetensors; or how "
        "two of them differ",
        "  frugal inspect ./Llama-3.2-1B\n  frugal inspect student.gguf --json\n"
        "  frugal inspect ./Llama-3.2-1B llama-q4_k.gguf",
        [this] {
          return other_.empty() ? inspect_path(path_, json_) : compare_paths(path_, other_, json_);
        });
    inspect->add_option("PATH", path_, "A folder or file")->required();
    inspect->add_option("OTHER", other_,
                        "Another one to compare it with: types, sizes, and, of models, the "
                        "difference of every tensor's numbers");
    inspect->add_flag("--json", json_, "Print JSON");
    CLI::App* passes = add("passes", "List the passes, or the options of one",
                           "  frugal passes\n  frugal passes quantize",
                           [this] { return list_passes(path_, json_); });
    passes->add_option("NAME", path_, "A pass");
    passes->add_flag("--json", json_, "Print JSON");
    add("doctor",
        "Show devices, meters and their permissions, libraries; what is missing and how to get it",
        "", [] { return doctor(); });
    add_import();
    add_generate();
    add_meter();
  }

  void add_import() {
    std::string formats;
    for (const artifact::Importer& importer : artifact::importers())
      formats += base::str_cat("; ", importer.summary);
    CLI::App* command =
        add("import", "Make a checkpoint folder of a model in another format",
            "  frugal import SmolLM2-135M-Instruct.Q4_1.gguf -o smollm2\n"
            "  frugal evaluate smollm2 --perplexity text.txt\n"
            "Codes on a grid of frugal's stay the codes they are, all else comes to "
            "plain numbers, and is said;\nconfig, tokenizer and chat template come "
            "from the file's metadata, or the folder.",
            [this] { return import_model(import_); });
    command->add_option("MODEL", import_.file, base::str_cat("A file or folder", formats))
        ->required();
    command->add_option("-o,--out", import_.out, "The folder to be made")->required();
    command->add_flag("--force", import_.force, "Replace --out when it exists");
    command->add_flag("--quiet,-q", import_.quiet, "Only warnings and errors");
  }

  void add_generate() {
    CLI::App* command = add(
        "generate", "Ask a model, and read what it answers as it comes",
        "  frugal generate SmolLM2-135M-Instruct.Q4_1.gguf --prompt \"What is the capital of "
        "France?\"\n"
        "  frugal generate ./model --raw --prompt \"Once upon a time\" --temperature 0.8 --seed 3\n"
        "Through the model's chat template where it has one. The answer is standard output, tokens "
        "per second standard error.",
        [this] { return generate_text(generate_); });
    command->add_option("MODEL", generate_.model, "A Hugging Face folder, or a .gguf file")
        ->required();
    command->add_option("--prompt", generate_.prompt, "What the user says")->required();
    command->add_option("--system", generate_.system, "What the system says before");
    command->add_flag("--raw", generate_.raw, "The prompt as it is, without the chat template");
    command
        ->add_option("--max-tokens", generate_.max_tokens,
                     "Tokens of the answer at most; the context may end it earlier")
        ->check(CLI::Range(1LL, 1LL << 20))
        ->capture_default_str();
    command->add_option("--temperature", generate_.temperature, "0 takes the likeliest token")
        ->check(CLI::Range(0.0, 100.0))
        ->capture_default_str();
    command
        ->add_option("--top-p", generate_.top_p,
                     "Sample from the likeliest tokens that make up this share")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    command->add_option("--seed", generate_.seed, "Seed of sampling")->capture_default_str();
    command->add_option("--device", generate_.run.device, "auto, cpu, cuda or cuda:N")
        ->capture_default_str();
    command->add_flag("--quiet,-q", generate_.run.quiet, "Only the answer, and errors");
  }

  void add_meter() {
    CLI::App* command = add(
        "meter", "Joules, watts, seconds and gCO2e of any command",
        "  frugal meter -- make -j8\n"
        "  frugal meter --site configs/sites/germany.yaml -- ./train.sh\n"
        "The exit code is that of the command.",
        [this] {
          return meter_.command.empty()
                     ? fail("meter: no command; expected frugal meter -- COMMAND", pass::kExitUsage)
                     : meter_command(meter_);
        });
    command->add_option("--site", meter_.site, "Site file (configs/sites) for carbon");
    command->add_option("--hardware", meter_.hardware,
                        "Profile of the CPU (configs/hardware) for modelled energy");
    command->add_option("--json", meter_.json,
                        "Write the window with raw counter readings to this file");
    command->add_option("COMMAND", meter_.command, "The command and its arguments, behind --");
    command->positionals_at_end();
  }

  void add_pass(pass::PassFactory factory) {
    const std::unique_ptr<pass::Pass> pass = factory();
    PassArguments& arguments = pass_arguments_.emplace_back();
    arguments.pass = pass->info().name;
    auto& values = pass_values_.emplace_back();
    CLI::App* command = add(arguments.pass, pass->info().summary, pass_examples(*pass),
                            [this, &arguments, &values] {
                              for (const auto& [name, value] : values) {
                                if (given_[&arguments]->get_option("--" + kebab(name))->count() > 0)
                                  arguments.options.emplace_back(name, value);
                              }
                              return run_pass(arguments);
                            });
    given_[&arguments] = command;
    if (pass->info().input == pass::Input::kCheckpoint) {
      command
          ->add_option("MODEL", arguments.model,
                       pass->info().takes_artifacts
                           ? "A Hugging Face folder, a .gguf file, or an ONNX folder of "
                             "onnxruntime-genai"
                           : "A Hugging Face folder, or a .gguf file")
          ->required();
    }
    bool takes_data = false;
    for (const pass::OptionDescription& option : pass::describe_options(*pass)) {
      add_pass_option(command, option, values[option.name]);
      for (const std::string& former : option.former_names)  // read only to say the present name
        command->add_option("--" + kebab(former), values[former])->expected(0, 1)->group("");
      takes_data = takes_data || option.type.ends_with("data");
    }
    if (takes_data) add_data_options(command, arguments);
    if (pass->info().output != pass::Output::kNone) {
      command->add_option("--out", arguments.out,
                          "Where the result goes: NAME.gguf, NAME-onnx, or a checkpoint folder");
      command->add_flag("--force", arguments.force, "Replace --out when it exists");
    }
    if (is_free(command, "--seed")) {
      command->add_option("--seed", arguments.seed, "Seed of everything random")
          ->capture_default_str();
    }
    command->add_flag("--plan", arguments.plan_only, "Only check, and show what would run");
    command->add_option("--run", arguments.run.out, "Run folder (default: runs/<command>-<name>)");
    add_run_options(command, arguments.run, true);
  }

  static void add_pass_option(CLI::App* command, const pass::OptionDescription& option,
                              std::string& value) {
    std::string flags = "--" + kebab(option.name);
    if (kebab(option.name) != option.name) flags += ",--" + option.name;
    if (option.name == "tasks") flags += ",--task";
    std::string help = option.help;
    if (!option.choices.empty())
      help += base::str_cat(" One of: ", base::join(option.choices, ", "), ".");
    if (!option.range.empty()) help += base::str_cat(" Range: ", option.range, ".");
    if (!option.unit.empty()) help += base::str_cat(" Unit: ", option.unit, ".");
    if (option.required) help += " Required.";
    if (!option.required) help += base::str_cat(" Default: ", option.default_text(), ".");
    if (option.type.ends_with("data"))
      help += " FILE, folder, 'pattern' or builtin:NAME:SPLIT:TASK.";
    if (option.type == "data")
      help +=
          " For calibration also self (text that the model writes), and several with weights: "
          "wiki.txt:2,code.txt,self.";
    if (option.type == "true|false") {
      command->add_flag(flags + ",!--no-" + kebab(option.name), value, help);
    } else {
      CLI::Option* added = command->add_option(flags, value, help);
      added->type_name(base::str_cat("<", option.type, ">"));
      // "--tasks a --tasks b" is "--tasks a,b".
      if (option.type.starts_with("list of") || option.type == "data") added->join(',');
    }
  }

  static void add_data_options(CLI::App* command, PassArguments& arguments) {
    command->add_option(
        "--data-prompt", arguments.data_prompt,
        "Template of data with fields (JSON, CSV, TSV): \"{sentence}\\nSentiment:\"");
    command->add_option("--data-completion", arguments.data_completion,
                        "Template of what is to be learned: \" {label}\"");
    command->add_flag("--data-chat", arguments.data_chat,
                      "Through the model's chat template: conversations under \"messages\", or "
                      "prompt and completion as question and answer");
    command->add_option("--data-system", arguments.data_system,
                        "With --data-chat: the system turn of conversations without one");
    command
        ->add_option("--data-label", arguments.data_labels,
                     "RAW=TEXT: a label and its text; may be repeated")
        ->allow_extra_args(false);
    command->add_option("--data-split", arguments.data_split, "Split of builtin data");
    command->add_option("--data-folder", arguments.data_folder,
                        "Folder with the documents of task files (default: beside them)");
    command->add_option("--data-limit", arguments.data_limit, "Examples at most; 0 = all");
    command->add_option("--data-tokens", arguments.data_tokens, "Tokens at most; 0 = all");
    command->add_option("--data-sequence-length", arguments.data_sequence_length,
                        "Window in tokens; 0 = the pass's default");
  }

  static std::string pass_examples(const pass::Pass& pass) {
    const std::string& name = pass.info().name;
    if (name == "quantize") {
      return "  frugal quantize ./Llama-3.2-1B --grid q4_k --calibration text.txt --out "
             "llama-q4_k.gguf\n"
             "  frugal quantize ./model --grid q8_0 --out model-q8_0      (a checkpoint folder)\n";
    }
    std::string line = "  frugal " + name;
    if (pass.info().input == pass::Input::kCheckpoint) line += " ./model";
    return line + " --plan\n";
  }

  int unknown_command(const std::string& word) {
    std::vector<std::string> names;
    for (const CLI::App* command : app_.get_subcommands([](CLI::App*) { return true; }))
      names.push_back(command->get_name());
    const bool option = word.starts_with("-");
    return fail(base::str_cat(option ? "there is no option '" : "there is no command '", word, "'",
                              option ? "; see frugal --help" : base::suggestion(word, names)),
                pass::kExitUsage);
  }

  int unknown_option(CLI::App& command) {
    const std::string word = command.remaining()[0];
    std::vector<std::string> names;
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
    if (!word.starts_with("-")) {
      return fail(base::str_cat(command.get_name(), ": unexpected '", word, "'; see frugal ",
                                command.get_name(), " --help"),
                  pass::kExitUsage);
    }
    const std::string bare = word.substr(0, word.find('='));
    return fail(base::str_cat(command.get_name(), ": there is no option '", bare, "'",
                              base::suggestion(bare, names)),
                pass::kExitUsage);
  }

  int argc_;
  char** argv_;
  CLI::App app_;
  std::string command_;
  std::map<CLI::App*, std::function<int()>> actions_;
  std::list<PipelineArguments> pipeline_arguments_;
  std::list<PassArguments> pass_arguments_;
  std::list<std::map<std::string, std::string>> pass_values_;
  std::map<const PassArguments*, CLI::App*> given_;
  ImportArguments import_;
  GenerateArguments generate_;
  MeterArguments meter_;
  std::string path_, other_, compare_out_ = "comparison";
  std::vector<std::string> paths_;
  bool exports_ = false;
  bool json_ = false;
};

}  // namespace

int run_command_line(int argc, char** argv) { return CommandLine(argc, argv).run(); }

}  // namespace frugal::tool
