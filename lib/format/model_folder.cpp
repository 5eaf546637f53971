#include "format/model_folder.h"

#include <algorithm>
#include <array>

#include "base/file_kind.h"
#include "base/json.h"
#include "base/text.h"
#include "format/checkpoint_files.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using base::str_cat;

constexpr const char* kAdapterConfig = "adapter_config.json";
constexpr size_t kMostListed = 5000;  // entries of a folder that are looked at

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Names of the regular files and links in `folder`, sorted.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (names.size() == kMostListed) break;
    if (!entry.is_directory(error)) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string first_that_ends(const std::vector<std::string>& names,
                            std::initializer_list<std::string_view> suffixes) {
  for (const std::string& name : names) {
    const std::string suffix = base::suffix_of(name);
    if (std::find(suffixes.begin(), suffixes.end(), suffix) != suffixes.end()) return name;
  }
  return "";
}

// A folder at most two levels below that holds a model; empty: none.
fs::path model_below(const fs::path& folder) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (!entry.is_directory(error)) continue;
    if (is_there(entry.path() / kConfigFile)) return entry.path();
    for (const fs::directory_entry& inner : fs::directory_iterator(entry.path(), error)) {
      if (inner.is_directory(error) && is_there(inner.path() / kConfigFile)) return inner.path();
    }
  }
  return {};
}

std::string merge_advice(const fs::path& folder, const std::string& base_model) {
  const std::string base = base_model.empty() ? "BASE_MODEL" : base_model;
  return str_cat(
      "merge it into its base model and give the merged one, in Python: model = "
      "peft.PeftModel.from_pretrained(transformers.AutoModelForCausalLM.from_pretrained('",
      base, "'), '", folder.string(),
      "').merge_and_unload(); model.save_pretrained('merged'); "
      "transformers.AutoTokenizer.from_pretrained('",
      base, "').save_pretrained('merged')");
}

// Of a single file that stands where a folder should.
absl::Status explain_file(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::string expected = "; expected a Hugging Face model folder with config.json";
  FRUGAL_ASSIGN_OR_RETURN(const base::FileKind kind, base::recognize_file(file));
  if (kind == base::FileKind::kSafetensors || name == kConfigFile || name == kIndexFile) {
    return base::invalid_argument(file.string(), ": a file of a model; give the folder it is in: '",
                                  file.parent_path().string(), "'");
  }
  if (kind != base::FileKind::kOther) {
    return base::invalid_argument(file.string(), ": not a model folder but ",
                                  base::describe(kind, file));
  }
  if (base::suffix_of(file) == ".onnx") {
    return base::invalid_argument(
        file.string(),
        ": an ONNX model, made for ONNX Runtime; frugal starts from the Hugging Face folder "
        "(config.json, *.safetensors) that it was made from");
  }
  return base::invalid_argument(file.string(), ": a file", expected);
}

}  // namespace

std::string unfinished_download(const fs::path& folder) {
  for (const fs::path& place : {folder, folder / ".cache" / "huggingface" / "download"}) {
    for (const std::string& name : names_in(place)) {
      const std::string suffix = base::suffix_of(name);
      if (suffix == ".incomplete" || suffix == ".part" || suffix == ".crdownload" ||
          suffix == ".aria2" || suffix == ".tmp")
        return str_cat("; its download has not finished (", name, "): download it again");
    }
  }
  return "";
}

absl::Status refuse_adapter(const fs::path& folder) {
  const fs::path file = folder / kAdapterConfig;
  if (!is_there(file)) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const base::Json json, base::read_json(file, kMaxJsonBytes));
  std::string base_model;
  if (const auto found = json.find("base_model_name_or_path");
      found != json.end() && found->is_string())
    base_model = found->get<std::string>();
  const bool beside = is_there(folder / kConfigFile) &&
                      (is_there(folder / kSingleFile) || is_there(folder / kIndexFile));
  if (beside) {
    return base::invalid_argument(folder.string(), ": a model with an adapter beside it (",
                                  kAdapterConfig, "), which would be left out; ",
                                  merge_advice(folder, base_model), "; or remove ", kAdapterConfig,
                                  " if it is not part of the model");
  }
  return base::invalid_argument(folder.string(), ": a LoRA adapter (", kAdapterConfig,
                                base_model.empty() ? "" : str_cat(" of '", base_model, "'"),
                                "), not a whole model; ", merge_advice(folder, base_model));
}

absl::Status explain_no_model(const fs::path& path) {
  std::error_code ignored;
  if (!is_there(path)) {
    if (fs::is_symlink(path, ignored)) {
      return base::not_found(path.string(), ": a symbolic link to '",
                             fs::read_symlink(path, ignored).string(), "', which is not there");
    }
    return base::not_found(
        path.string(), ": no such folder; expected a Hugging Face model folder with config.json");
  }
  if (!fs::is_directory(path, ignored)) return explain_file(path);
  FRUGAL_RETURN_IF_ERROR(refuse_adapter(path));
  const std::vector<std::string> names = names_in(path);
  if (fs::is_symlink(path / kConfigFile, ignored)) {
    return base::not_found(path.string(),
                           ": config.json is a broken symbolic link; copy the "
                           "folder with the files behind its links (cp -rL)");
  }
  if (const std::string gguf = first_that_ends(names, {".gguf"}); !gguf.empty()) {
    return base::not_found(path.string(), ": no config.json, but ", gguf, ": ",
                           base::describe(base::FileKind::kGguf, gguf));
  }
  if (std::find(names.begin(), names.end(), "params.json") != names.end()) {
    return base::not_found(path.string(),
                           ": no config.json, but params.json: weights in Meta's own format; take "
                           "the model's Hugging Face form (its repository has it beside them)");
  }
  if (const std::string onnx = first_that_ends(names, {".onnx"}); !onnx.empty()) {
    return base::not_found(path.string(), ": no config.json, but ", onnx,
                           ": a folder made for ONNX Runtime; frugal starts from the Hugging Face "
                           "folder that it was made from");
  }
  if (const fs::path below = model_below(path); !below.empty()) {
    return base::not_found(path.string(), ": no config.json; did you mean '", below.string(), "'?");
  }
  return base::not_found(path.string(), ": no config.json; expected a Hugging Face model folder",
                         names.empty() ? ", this one is empty" : "", unfinished_download(path));
}

absl::Status explain_no_weights(const fs::path& folder) {
  const std::string what =
      str_cat(folder.string(), ": no weights: neither '", kSingleFile, "' nor '", kIndexFile, "'");
  std::error_code ignored;
  for (const std::string_view name : {kSingleFile, kIndexFile}) {
    if (fs::is_symlink(folder / name, ignored)) {
      return base::not_found(what, ": '", name,
                             "' is a broken symbolic link; copy the folder with the files behind "
                             "its links (cp -rL)");
    }
  }
  if (const std::string waiting = unfinished_download(folder); !waiting.empty())
    return base::not_found(what, waiting);
  const std::vector<std::string> names = names_in(folder);
  if (const std::string shard = first_that_ends(names, {".safetensors"}); !shard.empty()) {
    return base::not_found(what, ", but '", shard, "'; ",
                           shard.find("-of-") != std::string::npos
                               ? "its index is missing: download it as well"
                               : str_cat("if it is the whole model, rename it to ", kSingleFile));
  }
  if (const std::string file = first_that_ends(names, {".bin", ".pt", ".pth", ".ckpt"});
      !file.empty() && file != "tokenizer.bin" && file != "training_args.bin") {
    return base::not_found(what, "; '", file, "' is ",
                           base::describe(base::FileKind::kTorch, file));
  }
  if (const std::string file =
          first_that_ends(names, {".gguf", ".h5", ".msgpack", ".onnx", ".npz"});
      !file.empty()) {
    return base::not_found(what, "; '", file,
                           "' is of another format, which is not read: take the model's "
                           "safetensors");
  }
  return base::not_found(what, "; download the model's safetensors");
}

std::string explain_tensor_names(const std::vector<std::string>& names) {
  struct Sign {
    std::string_view part;
    std::string_view says;
  };
  constexpr std::string_view kMerge =
      "a LoRA adapter that is not merged into the weights: merge it, in Python: model = "
      "model.merge_and_unload(); model.save_pretrained('merged'), with the peft model that wrote "
      "this folder";
  constexpr std::string_view kPacked =
      "weights that another quantizer has packed, and config.json does not say which "
      "(quantization_config): take the folder as it was published, or start from the unquantized "
      "model";
  constexpr std::array kSigns = {
      Sign{".lora_A", kMerge},           Sign{".lora_B", kMerge},
      Sign{".lora_embedding_", kMerge},  Sign{".lora_magnitude_", kMerge},
      Sign{".base_layer.", kMerge},      Sign{".modules_to_save.", kMerge},
      Sign{".qweight", kPacked},         Sign{".qzeros", kPacked},
      Sign{".weight_packed", kPacked},   Sign{".quant_state.", kPacked},
      Sign{".absmax", kPacked},          Sign{".SCB", kPacked},
      Sign{".weight_scale_inv", kPacked}};
  for (const std::string& name : names) {
    for (const Sign& sign : kSigns) {
      if (name.find(sign.part) != std::string::npos)
        return str_cat("'", name, "' is of ", sign.says);
    }
  }
  struct Prefix {
    std::string_view text;
    std::string_view from;
  };
  constexpr std::array kPrefixes = {
      Prefix{"_orig_mod.", "torch.compile"}, Prefix{"module.", "DataParallel"},
      Prefix{"_forward_module.", "a training framework"}, Prefix{"base_model.model.", "peft"}};
  for (const Prefix& prefix : kPrefixes) {
    const bool all =
        !names.empty() && std::all_of(names.begin(), names.end(), [&](const std::string& name) {
          return name.starts_with(prefix.text);
        });
    if (all) {
      return str_cat("every name begins with '", prefix.text, "', which ", prefix.from,
                     " puts there: save the model that is inside of it");
    }
  }
  return "";
}

}  // namespace frugal::format
