// The commands behind the command line. Each prints what it has to say and returns the exit code.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace frugal::tool {

// What every command that runs or plans steps takes.
struct RunArguments {
  std::string out;    // run folder; empty = runs/<name>
  std::string cache;  // empty = .cache beside the run folder
  std::string device = "auto";
  std::string hardware;  // profile of the CPU, for the modelled meter
  std::string until;
  double idle_seconds = 2;
  bool json = false;
  bool quiet = false;
  std::string command;  // as typed
};

struct PipelineArguments {
  std::string file;
  std::vector<std::string> settings;  // NAME=VALUE
  RunArguments run;
};
int run_pipeline(const PipelineArguments& arguments);
int plan_pipeline(const PipelineArguments& arguments);

// A pass as one command.
struct PassArguments {
  std::string pass;
  std::string model;  // folder; empty for passes that take none
  std::vector<std::pair<std::string, std::string>> options;  // option name, value as typed
  std::string out;  // file or folder to publish; empty = only the run folder
  bool force = false;
  // For all data given as files.
  std::string data_prompt, data_completion, data_split, data_system, data_folder;
  bool data_chat = false;
  std::vector<std::string> data_labels;  // RAW=TEXT
  long long data_limit = 0, data_tokens = 0, data_sequence_length = 0;
  long long seed = 1;
  bool plan_only = false;
  RunArguments run;
};
int run_pass(const PassArguments& arguments);

struct ImportArguments {
  std::string file;
  std::string out;  // folder
  bool force = false;
  bool quiet = false;
};
int import_model(const ImportArguments& arguments);

struct GenerateArguments {
  std::string model;  // folder or file
  std::string prompt, system;
  bool raw = false;  // without the chat template
  long long max_tokens = 256;
  double temperature = 0, top_p = 1;
  long long seed = 1;
  RunArguments run;
};
int generate_text(const GenerateArguments& arguments);

int list_passes(const std::string& name, bool json);
// `exports`: BoAmps reports and a manifest for the Impact Framework, too.
int draw_report(const std::string& run_folder, bool exports);
int verify_run(const std::string& run_folder);
// Prints the table and writes compare.html, compare.json and compare.csv to the folder `out`.
int compare_runs(const std::vector<std::string>& run_folders, const std::string& out, bool json);
int inspect_path(const std::string& path, bool json);
// `frugal inspect A B`: their headers side by side, and the numbers of every tensor where both are
// models that frugal reads.
int compare_paths(const std::string& a, const std::string& b, bool json);
int doctor();

struct MeterArguments {
  std::vector<std::string> command;
  std::string site;  // file; empty = no carbon
  std::string hardware;
  std::string json;  // file for the window; empty = none
};
int meter_command(const MeterArguments& arguments);

}  // namespace frugal::tool
