#include "passes/export/export_pass.h"

#include <algorithm>
#include <string>

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
                                     .version = 1,
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
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override {
    if (format_ == "gguf") FRUGAL_RETURN_IF_ERROR(check_gguf(model));
    if (format_ == "onnx") FRUGAL_RETURN_IF_ERROR(check_onnx(model));
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
  absl::Status write(const format::Checkpoint& checkpoint, const std::string& stem,
                     const fs::path& output) const {
    if (format_ == "huggingface") {
      FRUGAL_ASSIGN_OR_RETURN(const fs::path folder, make_folder(output / (stem + "-hf")));
      return write_plain_folder(checkpoint, folder);
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::load_tokenizer(checkpoint.folder()));
    if (format_ == "gguf")
      return write_gguf(checkpoint, *tokenizer, stem, output / (stem + ".gguf"));
    FRUGAL_ASSIGN_OR_RETURN(const fs::path folder, make_folder(output / (stem + "-onnx")));
    return write_onnx_folder(checkpoint, *tokenizer, {.accuracy_level = accuracy_level_}, folder);
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
};

}  // namespace

std::unique_ptr<pass::Pass> make_export_pass() { return std::make_unique<ExportPass>(); }

}  // namespace frugal::passes
