#include "passes/export/export_pass.h"

#include <algorithm>
#include <string>
#include <vector>

#include "artifact/gguf/gguf_model.h"
#include "artifact/huggingface/plain_model.h"
#include "artifact/onnx/onnx_model.h"
#include "base/hash.h"
#include "base/text.h"
#include "text/tokenizer.h"

namespace frugal::passes {

namespace {

namespace fs = std::filesystem;
using artifact::check_gguf;
using artifact::check_onnx;
using artifact::write_gguf;
using artifact::write_onnx_folder;
using artifact::write_plain_folder;
using base::str_cat;

// "small/q4_k" -> "small-q4_k": a model's name as a file name.
std::string file_stem(std::string_view model_name) {
  std::string stem(model_name);
  std::replace(stem.begin(), stem.end(), '/', '-');
  return stem;
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
    visitor.field(
        {.name = "format",
         .help =
             "What to write: gguf is one file for llama.cpp; onnx is a folder for ONNX Runtime and "
             "onnxruntime-genai; huggingface is a plain folder with decoded weights.",
         .choices = {"gguf", "onnx", "huggingface"}},
        format_);
    visitor.field(
        {.name = "name",
         .help = "Name of the artifact, without its suffix; empty takes the input's name."},
        name_);
    visitor.field({.name = "accuracy_level",
                   .help = "ONNX only: MatMulNBits arithmetic; 1 computes in fp32 from the exact "
                           "weights, 4 lets the runtime "
                           "round activations to int8 (faster on CPUs, larger deviations), 0 "
                           "leaves the choice to it.",
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
    FRUGAL_RETURN_IF_ERROR(check_options());
    if (format_ == "gguf") FRUGAL_RETURN_IF_ERROR(check_file(context, model));
    if (format_ == "onnx") FRUGAL_RETURN_IF_ERROR(check_onnx(model, onnx_options()));
    if (format_ == "huggingface" && !model.activations.empty()) {
      context.warn(
          "export: a plain folder holds decoded weights alone; whoever runs it will not round "
          "activations to int8");
    }
    context.estimate({.output_bytes = model.size_bytes, .basis = "bytes of the weights"});
    return absl::OkStatus();
  }

  absl::Status run(pass::RunContext& context) const override {
    const std::string stem = name_.empty() ? file_stem(context.input_name()) : name_;
    FRUGAL_RETURN_IF_ERROR(write(*context.input(), stem, context.output_folder()));
    return record_files(context);
  }

 private:
  artifact::GgufOptions gguf_options() const {
    return {.pre_tokenizer = pre_tokenizer_, .eos = eos_token_ids_};
  }
  artifact::OnnxOptions onnx_options() const {
    return {.accuracy_level = accuracy_level_, .eos = eos_token_ids_};
  }

  // Options that another format has no use for would be passed over in silence.
  absl::Status check_options() const {
    if (format_ != "gguf" && !pre_tokenizer_.empty()) {
      return base::invalid_argument("export: pre_tokenizer is for format gguf; leave it out for ",
                                    format_);
    }
    if (format_ == "huggingface" && !eos_token_ids_.empty()) {
      return base::invalid_argument(
          "export: eos_token_id is for formats gguf and onnx; a Hugging Face folder says it in "
          "config.json and generation_config.json");
    }
    if (name_.find('/') != std::string::npos) {
      return base::invalid_argument("export: name = '", name_,
                                    "' is a path; the artifact goes to the run's folder (--out "
                                    "puts it elsewhere)");
    }
    return absl::OkStatus();
  }

  absl::Status check_file(pass::CheckContext& context, const pass::ModelInfo& model) const {
    FRUGAL_RETURN_IF_ERROR(check_gguf(model, gguf_options()));
    if (model.tokenizer_folder.empty()) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(model.tokenizer_folder));
    for (const std::string& loss : artifact::gguf_losses(model.config, *tokenizer, gguf_options()))
      context.warn("export: " + loss);
    return absl::OkStatus();
  }

  absl::Status write(const format::Checkpoint& checkpoint, const std::string& stem,
                     const fs::path& output) const {
    if (format_ == "huggingface") {
      FRUGAL_ASSIGN_OR_RETURN(const fs::path folder, make_folder(output / (stem + "-hf")));
      return write_plain_folder(checkpoint, folder);
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(checkpoint.folder()));
    if (format_ == "gguf")
      return write_gguf(checkpoint, *tokenizer, stem, output / (stem + ".gguf"), gguf_options());
    FRUGAL_ASSIGN_OR_RETURN(const fs::path folder, make_folder(output / (stem + "-onnx")));
    return write_onnx_folder(checkpoint, *tokenizer, onnx_options(), folder);
  }

  static absl::StatusOr<fs::path> make_folder(const fs::path& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return base::system_error("create folder", folder.string(), error.value());
    return folder;
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

  std::string format_ = "gguf";
  std::string name_;
  int64_t accuracy_level_ = 1;
  std::vector<int64_t> eos_token_ids_;
  std::string pre_tokenizer_;
};

}  // namespace

std::unique_ptr<pass::Pass> make_export_pass() { return std::make_unique<ExportPass>(); }

}  // namespace frugal::passes
