// The pipeline file: what it says, with the place of everything, before any pass has looked at it.
//
//   frugal: 1                  schema version
//   name, description, seed
//   vars:    {name: default}   no default = must be set by --set name=value; used as ${name}
//   models:  {name: path}      Hugging Face folders, or .gguf files
//   data:    {name: {text|jsonl|table|builtin|mix|self|task_file: …, folder, prompt, completion,
//   labels, limit,
//                    tokens, sequence_length, split, task, seed, same_as}}
//            mix: {name: weight, …}, self: true (text that the model writes): for calibration
//   steps:   [{id, pass, from: name or [names], with: {option: value}, matrix: {option: [values]}}]
//   report:  {baseline, claim: {metric, margin, kind, gate}, site}
//   inputs:  {models: {name: hash}, data: {name: hash}}   of a resolved file: what it was resolved
//   with
//
// Relative paths are relative to the file. `$${` is a literal `${`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pass/document.h"
#include "pass/pass.h"
#include "text/dataset.h"

namespace frugal::pass {

struct NamedAt {
  std::string name;
  Position position;
};

struct ModelEntry {
  std::string name;
  std::filesystem::path folder;  // absolute; or a file of a format that is imported
  std::string expected_hash;     // from `inputs:`; empty = any
  Position position;
};

struct DataEntry {
  std::string name;
  text::DataSource source;  // paths absolute
  std::string expected_hash;
  Position position;
};

// What kSelfData stands for where no data of that name is given.
text::DataSource self_data(uint64_t seed);

struct MatrixEntry {
  std::string option;
  std::vector<Node> values;
  Position position;
};

struct StepEntry {
  std::string id;
  std::string pass;
  std::vector<NamedAt> from;  // empty = the default
  bool from_is_list = false;
  Node with;
  std::vector<MatrixEntry> matrix;
  Position position, pass_position;
};

struct ReportEntry {
  NamedAt baseline;  // name empty = none
  std::optional<Claim> claim;
  Position claim_position;
  std::filesystem::path site;  // absolute; empty = none
};

struct Pipeline {
  std::filesystem::path file;  // empty for one built from a command line
  std::string name;
  std::string description;
  uint64_t seed = 1;
  std::vector<ModelEntry> models;
  std::vector<DataEntry> data;
  std::vector<StepEntry> steps;
  ReportEntry report;
  std::string sha256;  // of the text

  const ModelEntry* find_model(std::string_view name) const;
  const DataEntry* find_data(std::string_view name) const;
};

using Settings = std::vector<std::pair<std::string, std::string>>;  // --set name=value

// Reads the text of a pipeline; relative paths are resolved against `folder`. What is wrong goes to
// `problems`; the pipeline then holds what could be read.
Pipeline parse_pipeline(std::string_view text, const std::filesystem::path& folder,
                        const Settings& settings, Problems& problems);

// A name that may stand for a model, a datum, a step or a folder: letters, digits, '_', '-', '.',
// not first '.' or '-'.
bool is_name(std::string_view text);

}  // namespace frugal::pass
