#include "passes/export/export_pass.h"

#include <algorithm>
#include <string>
#include <vector>

#include "artifact/exporter.h"
#include "base/hash.h"
#include "base/text.h"
#include "format/gguf.h"
#include "format/metadata.h"
#include "pass/origin.h"
#include "pass/step_words.h"
#include "passes/export/card_facts.h"

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
  std::string help = "What to write, one or several: ";
  for (const artifact::Exporter& exporter : artifact::exporters())
    help += str_cat(help.ends_with(": ") ? "" : "; ", exporter.summary);
  return help + ".";
}

class ExportPass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{.name = "export",
                                     .version = 3,
                                     .summary =
                                         "Writes a checkpoint as GGUF (llama.cpp), as an ONNX "
                                         "folder (ONNX Runtime, onnxruntime-genai) or as packed "
                                         "safetensors (vLLM, transformers), with exactly the "
                                         "integers it holds.",
                                     .input = pass::Input::kCheckpoint,
                                     .output = pass::Output::kArtifact};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    static const std::string help = format_help();
    visitor.field({.name = "format", .help = help, .choices = format_names()}, formats_);
    visitor.field(
        {.name = "name",
         .help = "Name of the artifact, without its suffix; empty takes the input's name."},
        name_);
    visitor.field({.name = "accuracy_level",
                   .help = "ONNX only: MatMulNBits arithmetic; 4 rounds the inputs of products to "
                           "8 bits in blocks, as llama.cpp does (several times as fast on "
                           "CPUs), 1 computes in fp32 from the exact weights, 0 leaves the choice "
                           "to the runtime.",
                   .minimum = 0,
                   .maximum = 4},
                  accuracy_level_);
    visitor.field({.name = "operators",
                   .help = "onnx: contrib has ONNX Runtime's own operators beside the standard "
                           "ones; standard has those of ai.onnx opset 23 alone, for other "
                           "runtimes, too, with the same inputs and outputs. There 2 and 3 bits "
                           "take 4, those of an embedding 8, a tied one lies beside its head, and "
                           "onnxruntime-genai copies the cache at every token; ONNX Runtime's "
                           "sessions take accuracy_level as session.qdq_matmulnbits_accuracy_level "
                           "(genai_config.json says so).",
                   .choices = {"contrib", "standard"}},
                  operators_);
    visitor.field({.name = "eos_token_id",
                   .help = "gguf and onnx: ids that end a text, in place of those that "
                           "generation_config.json, config.json and the tokenizer name; needed "
                           "where none of them names one."},
                  eos_token_ids_);
    visitor.field({.name = "pre_tokenizer",
                   .help = "gguf: llama.cpp's name of the pattern that a byte-level tokenizer cuts "
                           "texts by (tokenizer.ggml.pre); empty finds it by the pattern."},
                  pre_tokenizer_);
    visitor.field({.name = "gptq_version",
                   .help = "gptq: 1 stores zero points less one, as most readers expect; 2 "
                           "(gptq_v2) as they are.",
                   .minimum = 1,
                   .maximum = 2},
                  gptq_version_);
    visitor.field({.name = "max_shard_size",
                   .help = "gguf and safetensors: most that one file holds of tensors; a larger "
                           "model comes in several, cut between tensors "
                           "(NAME-00001-of-00003.gguf, model-00001-of-00003.safetensors), of which "
                           "the first is the one to name.",
                   .unit = "bytes",
                   .minimum = 1,
                   .otherwise = "gguf: one file; safetensors: 5 GiB"},
                  max_shard_bytes_);
    visitor.field(
        {.name = "card",
         .help = "Writes a model card with the artifact when the run is over: what it is, "
                 "how it was made, what it takes, how good it is as far as the run "
                 "measured it, and how to run it."},
        card_);
    visitor.field({.name = "verify",
                   .help = "Reads every file back and compares it with the model before it appears "
                           "under its name."},
                  verify_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override {
    if (name_.find('/') != std::string::npos) {
      return base::invalid_argument("export: name = '", name_,
                                    "' is a path; the artifact goes to the run's folder (--out "
                                    "puts it elsewhere)");
    }
    FRUGAL_RETURN_IF_ERROR(check_formats());
    const std::vector<const artifact::Exporter*> chosen = exporters();
    FRUGAL_RETURN_IF_ERROR(artifact::check_options(chosen, options("")));
    int64_t bytes = 0;
    std::vector<std::string> warnings;
    std::vector<pass::Artifact> left;
    for (const artifact::Exporter* exporter : chosen) {
      FRUGAL_RETURN_IF_ERROR(exporter->check(model, options(""), warnings));
      FRUGAL_ASSIGN_OR_RETURN(const artifact::Forecast one, exporter->forecast(model, options("")));
      bytes += one.bytes;
      left.push_back({std::string(exporter->name), first_file(*exporter, stem(model.name), one)});
      if (one.weight_files > 1) {
        context.note(
            str_cat("the weights of ", exporter->name, " come in ", one.weight_files, " files"));
      }
    }
    context.leaves(std::move(left));
    for (const std::string& warning : warnings) context.warn(str_cat("export: ", warning));
    context.estimate(
        {.output_bytes = bytes,
         .basis = str_cat("the tensors as ", base::join(formats_, " and "), " stores them")});
    return absl::OkStatus();
  }

  absl::Status run(pass::RunContext& context) const override {
    const std::string name = stem(context.input_name());
    artifact::ExportOptions chosen = options(name);
    chosen.making = making_of(context);
    for (const artifact::Exporter* exporter : exporters()) {
      const fs::path path = context.output_folder() / str_cat(name, exporter->suffix);
      FRUGAL_RETURN_IF_ERROR(
          artifact::write_artifact(*exporter, *context.input(), chosen, path, verify_));
      FRUGAL_RETURN_IF_ERROR(record_parts(context, *exporter, chosen));
    }
    context.row("card", card_facts(context.input()->config()));
    return record_files(context);
  }

 private:
  std::string stem(std::string_view model_name) const {
    return name_.empty() ? file_stem(model_name) : name_;
  }

  // What a runtime is told to load, below the output folder.
  static fs::path first_file(const artifact::Exporter& exporter, const std::string& stem,
                             const artifact::Forecast& forecast) {
    const fs::path path = str_cat(stem, exporter.suffix);
    return exporter.is_folder ? path : format::gguf_part(path, 0, forecast.weight_files);
  }

  artifact::ExportOptions options(const std::string& stem) const {
    return {.name = stem,
            .accuracy_level = accuracy_level_,
            .standard_operators = operators_ == "standard",
            .eos = eos_token_ids_,
            .pre_tokenizer = pre_tokenizer_,
            .gptq_version = gptq_version_,
            .max_shard_bytes = max_shard_bytes_};
  }

  absl::Status check_formats() const {
    if (formats_.empty())
      return base::invalid_argument("export: format is an empty list; name at least one of ",
                                    base::join(format_names(), ", "));
    for (const std::string& format : formats_) {
      if (std::count(formats_.begin(), formats_.end(), format) > 1)
        return base::invalid_argument("export: format names ", format, " twice");
    }
    return absl::OkStatus();
  }

  // In the order given.
  std::vector<const artifact::Exporter*> exporters() const {
    std::vector<const artifact::Exporter*> chosen;
    for (const std::string& format : formats_) chosen.push_back(artifact::find_exporter(format));
    return chosen;
  }

  static artifact::Making making_of(const pass::RunContext& context) {
    artifact::Making making{.seed = context.seed()};
    const auto* source = dynamic_cast<const pass::OriginSource*>(&context);
    if (source == nullptr) return making;
    const pass::Origin origin = source->origin();
    making.version = origin.version;
    for (const base::Json& step : origin.steps) {
      making.steps.push_back(pass::step_in_words(step));
      if (step.value("pass", "") != "quantize") continue;
      making.recipe = step["options"].value("recipe", "");
      const base::Json settings = step["tables"].value("settings", base::Json::array());
      making.method = settings.empty() ? "" : settings[0].value("method", "");
      const pass::CalibrationUse use = pass::calibration_of(step);
      making.calibration = use.tokens > 0 ? use.data : "";
      making.calibration_tokens = use.tokens;
    }
    return making;
  }

  // What the artifact consists of, and what each kind of weights takes in it.
  static absl::Status record_parts(pass::RunContext& context, const artifact::Exporter& exporter,
                                   const artifact::ExportOptions& options) {
    FRUGAL_ASSIGN_OR_RETURN(const artifact::Forecast forecast,
                            exporter.forecast(format::metadata_of(*context.input()), options));
    for (const artifact::WeightPart& part : forecast.parts) {
      context.row("parts", {{"format", exporter.name},
                            {"part", part.part},
                            {"type", part.type},
                            {"weights", part.weights},
                            {"bytes", part.bytes}});
    }
    context.row("artifacts", {{"format", exporter.name},
                              {"name", str_cat(options.name, exporter.suffix)},
                              {"weight_files", forecast.weight_files}});
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

  std::vector<std::string> formats_ = {std::string(artifact::exporters().front().name)};
  std::string name_;
  int64_t accuracy_level_ = artifact::kDefaultAccuracyLevel;
  std::string operators_ = "contrib";
  std::vector<int64_t> eos_token_ids_;
  std::string pre_tokenizer_;
  int64_t gptq_version_ = 1;
  std::optional<int64_t> max_shard_bytes_;
  bool card_ = true;
  bool verify_ = true;
};

}  // namespace

std::unique_ptr<pass::Pass> make_export_pass() { return std::make_unique<ExportPass>(); }

}  // namespace frugal::passes
