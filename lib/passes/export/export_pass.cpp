#include "passes/export/export_pass.h"

#include <algorithm>
#include <string>
#include <vector>

#include "artifact/exporter.h"
#include "base/hash.h"
#include "base/text.h"

namespace frugal::passes {

namespace {

namespace fs = std::filesystem;
using base::str_cat;

// "small/q4_k" -> "small-q4_k": a model's name as a file name.
std::string file_stem(std::string_view model_name) {
  std::string stem(model_name);
  std::replace(stem.begin(), stem.end(), '/', '-');
  return stem;
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const artifact::Exporter& exporter : artifact::exporters())
    names.emplace_back(exporter.name);
  return names;
}

std::string format_help() {
  std::string help = "What to write: ";
  for (const artifact::Exporter& exporter : artifact::exporters())
    help += str_cat(help.ends_with(": ") ? "" : "; ", exporter.summary);
  return help + ".";
}

class ExportPass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{.name = "export",
                                     .version = 2,
                                     .summary =
                                         "Writes a checkpoint as GGUF (llama.cpp) or as an ONNX "
                                         "folder (ONNX Runtime, onnxruntime-genai), with "
                                         "exactly the integers it holds.",
                                     .input = pass::Input::kCheckpoint,
                                     .output = pass::Output::kArtifact};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    static const std::string help = format_help();
    visitor.field({.name = "format", .help = help, .choices = format_names()}, format_);
    visitor.field(
        {.name = "name",
         .help = "Name of the artifact, without its suffix; empty takes the input's name."},
        name_);
    visitor.field({.name = "accuracy_level",
                   .help = "ONNX only: MatMulNBits arithmetic; 4 rounds the inputs of products to "
                           "8 bits in blocks, as llama.cpp does (two to three times as fast on "
                           "CPUs), 1 computes in fp32 from the exact weights, 0 leaves the choice "
                           "to the runtime.",
                   .minimum = 0,
                   .maximum = 4},
                  accuracy_level_);
    visitor.field({.name = "eos_token_id",
                   .help = "gguf and onnx: ids that end a text, in place of those that "
                           "generation_config.json, config.json and the tokenizer name; needed "
                           "where none of them names one."},
                  eos_token_ids_);
    visitor.field({.name = "pre_tokenizer",
                   .help = "gguf: llama.cpp's name of the pattern that a byte-level tokenizer cuts "
                           "texts by (tokenizer.ggml.pre); empty finds it by the pattern."},
                  pre_tokenizer_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override {
    if (name_.find('/') != std::string::npos) {
      return base::invalid_argument("export: name = '", name_,
                                    "' is a path; the artifact goes to the run's folder (--out "
                                    "puts it elsewhere)");
    }
    const artifact::Exporter& exporter = *artifact::find_exporter(format_);
    std::vector<std::string> warnings;
    FRUGAL_RETURN_IF_ERROR(exporter.check(model, options(""), warnings));
    for (const std::string& warning : warnings) context.warn(str_cat("export: ", warning));
    FRUGAL_ASSIGN_OR_RETURN(const int64_t bytes, exporter.estimate_bytes(model, options("")));
    context.estimate({.output_bytes = bytes,
                      .basis = str_cat("the tensors as ", exporter.name, " stores them")});
    return absl::OkStatus();
  }

  absl::Status run(pass::RunContext& context) const override {
    const artifact::Exporter& exporter = *artifact::find_exporter(format_);
    const std::string stem = name_.empty() ? file_stem(context.input_name()) : name_;
    const fs::path path = context.output_folder() / str_cat(stem, exporter.suffix);
    if (exporter.is_folder) FRUGAL_RETURN_IF_ERROR(make_folder(path));
    FRUGAL_RETURN_IF_ERROR(exporter.write(*context.input(), options(stem), path));
    return record_files(context);
  }

 private:
  artifact::ExportOptions options(const std::string& stem) const {
    return {.name = stem,
            .accuracy_level = accuracy_level_,
            .eos = eos_token_ids_,
            .pre_tokenizer = pre_tokenizer_};
  }

  static absl::Status make_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return base::system_error("create folder", folder.string(), error.value());
    return absl::OkStatus();
  }

  static absl::Status record_files(pass::RunContext& context) {
    int64_t total = 0;
    std::vector<fs::path> paths;
    for (const auto& entry : fs::recursive_directory_iterator(context.output_folder())) {
      if (entry.is_regular_file()) paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    for (const fs::path& path : paths) {
      FRUGAL_ASSIGN_OR_RETURN(const std::string sha256, base::sha256_of_file(path));
      const auto size = static_cast<int64_t>(fs::file_size(path));
      total += size;
      context.row("files", {{"path", fs::relative(path, context.output_folder()).string()},
                            {"bytes", size},
                            {"sha256", sha256},
                            {"kind", path.extension().string()}});
    }
    context.statistic({.name = "artifact_bytes",
                       .value = static_cast<double>(total),
                       .unit = "bytes",
                       .help = "Size of everything the artifact consists of."});
    return absl::OkStatus();
  }

  std::string format_ = std::string(artifact::exporters().front().name);
  std::string name_;
  int64_t accuracy_level_ = artifact::kDefaultAccuracyLevel;
  std::vector<int64_t> eos_token_ids_;
  std::string pre_tokenizer_;
};

}  // namespace

std::unique_ptr<pass::Pass> make_export_pass() { return std::make_unique<ExportPass>(); }

}  // namespace frugal::passes
