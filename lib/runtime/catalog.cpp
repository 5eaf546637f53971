#include "runtime/catalog.h"

#include <array>
#include <cstdlib>

#include "base/child_process.h"
#include "base/json.h"
#include "runtime/scripts.h"

namespace frugal::runtime {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kVariable = "FRUGAL_RUNTIMES";
constexpr double kAnswerSeconds = 60;
constexpr size_t kAnswerBytes = size_t{1} << 16;
constexpr std::string_view kLlamaArithmetic =
    "llama.cpp rounds the inputs of products with quantized matrices to 8 bits in blocks, and "
    "keeps keys and values in 16 bits";
constexpr std::string_view kOnnxArithmetic =
    "MatMulNBits at accuracy level 4, the export's default, rounds the inputs of products to 8 "
    "bits in blocks";

// Prints {package: version} of those that are installed, without importing any of them, and without
// modules of the folder that frugal was started in, which `python -c` would look in first; and
// {program: version} of those on the PATH, from the line of --version that says so.
std::string question(std::span<const Runtime> all) {
  std::string names, programs;
  for (const Runtime& runtime : all) {
    if (!runtime.program.empty()) programs += base::str_cat("'", runtime.program, "',");
    for (const auto* list : {&runtime.packages, &runtime.besides}) {
      for (const std::string_view name : *list) names += base::str_cat("'", name, "',");
    }
  }
  return base::str_cat(
      "import sys\nsys.path[:] = [folder for folder in sys.path if folder]\n"
      "import importlib.metadata as m, json\nout = {}\nfor name in (",
      names,
      "):\n  try: out[name] = m.version(name)\n  except m.PackageNotFoundError: pass\n"
      "import shutil, subprocess\n"
      "for name in (",
      programs,
      "):\n  path = shutil.which(name)\n  if path is None: continue\n"
      "  try: said = subprocess.run([path, '--version'], capture_output=True, text=True, "
      "errors='replace', timeout=20)\n"
      "  except (OSError, subprocess.TimeoutExpired): continue\n"
      "  lines = (said.stderr + said.stdout).splitlines()\n"
      "  out[name] = next((line[8:].strip() for line in lines if line.startswith('version:')), "
      "'of unknown version')\n"
      "print(json.dumps(out))");
}

// An environment is named by its folder or by its interpreter.
fs::path interpreter(const fs::path& named) {
  std::error_code error;
  return fs::is_directory(named, error) ? named / "bin" / "python" : named;
}

std::string remedy() {
  return base::str_cat("run scripts/setup --runtimes, or name a Python that has it in ", kVariable);
}

absl::StatusOr<Environment> find_environment() {
  if (const char* named = std::getenv(std::string(kVariable).c_str()); named && *named != '\0')
    return read_environment(named);
  const fs::path own = kDefaultEnvironment;
  std::error_code error;
  if (fs::exists(interpreter(own), error)) return read_environment(own);
  return base::not_found("there is no Python with runtimes (none at '", interpreter(own).string(),
                         "', and ", kVariable, " is not set); ", remedy());
}

}  // namespace

std::span<const Runtime> runtimes() {
  static const std::array kRuntimes = {
      Runtime{.name = "llama.cpp",
              .adapter = "llamacpp",
              .formats = {"gguf"},
              .packages = {"xllamacpp", "llama-cpp-python"},
              .besides = {"numpy"},
              .setup = "scripts/setup --runtimes",
              .arithmetic = kLlamaArithmetic},
      Runtime{.name = "llama-server",
              .adapter = "llamaserver",
              .formats = {"gguf"},
              .packages = {},
              .besides = {"numpy"},
              .program = "llama-server",
              .setup = "scripts/setup --runtimes",
              .scores_slowly = true,
              .times_one_sequence = true,
              .arithmetic = kLlamaArithmetic},
      Runtime{.name = "onnxruntime",
              .adapter = "onnxruntime",
              .formats = {"onnx"},
              .packages = {"onnxruntime"},
              .besides = {"numpy"},
              .setup = "scripts/setup --runtimes",
              .arithmetic = kOnnxArithmetic},
      Runtime{.name = "onnxruntime-genai",
              .adapter = "genai",
              .formats = {"onnx"},
              .packages = {"onnxruntime-genai"},
              .besides = {"numpy"},
              .setup = "scripts/setup --runtimes",
              .scores_slowly = true,
              .times_one_sequence = true,
              .arithmetic = kOnnxArithmetic},
      Runtime{
          .name = "transformers",
          .adapter = "transformers",
          .formats = {"compressed_tensors", "huggingface"},
          .packages = {"transformers"},
          .besides = {"numpy", "torch", "compressed-tensors"},
          .setup = "scripts/setup --transformers (into .oracles)",
          .arithmetic = "transformers decodes weights to fp32 on a CPU: every grid costs the same"},
  };
  return kRuntimes;
}

const Runtime* find_runtime(std::string_view name) {
  for (const Runtime& runtime : runtimes()) {
    if (runtime.name == name) return &runtime;
  }
  return nullptr;
}

const Runtime* runtime_of(std::string_view format) {
  for (const Runtime& runtime : runtimes()) {
    for (const std::string_view served : runtime.formats) {
      if (served == format) return &runtime;
    }
  }
  return nullptr;
}

absl::StatusOr<Environment> read_environment(const fs::path& named) {
  Environment result{.python = interpreter(named), .versions = {}};
  const std::string where = base::str_cat("the Python of runtimes, '", result.python.string(), "'");
  std::error_code error;
  if (!fs::exists(result.python, error))
    return base::not_found(where, ", does not exist; ", remedy());
  FRUGAL_ASSIGN_OR_RETURN(
      auto child, base::ChildProcess::start({result.python.string(), "-c", question(runtimes())}));
  child.set_patience(kAnswerSeconds);
  const auto line = child.read_line(kAnswerBytes);
  if (base::is_interrupted(line.status())) return line.status();
  if (!line.ok())
    return base::failed(where, ", does not run: ", line.status().message(), "; ", remedy());
  FRUGAL_ASSIGN_OR_RETURN(const base::Json packages, base::parse_json(*line, where));
  for (const auto& [name, version] : packages.items()) {
    if (version.is_string()) result.versions[name] = version.get<std::string>();
  }
  return result;
}

absl::StatusOr<Environment> environment() {
  static const absl::StatusOr<Environment> found = find_environment();
  return found;
}

absl::StatusOr<std::string> version_in(const Environment& environment, const Runtime& runtime) {
  if (!runtime.program.empty() && !environment.versions.contains(runtime.program))
    return base::not_found(runtime.name, " is not installed: there is no '", runtime.program,
                           "' on the PATH; install it, or run ", runtime.setup,
                           " for another runtime that reads ", runtime.formats.front());
  std::vector<std::string> missing;
  std::string found;
  std::vector<std::string> alternatives;
  if (!runtime.program.empty())
    found = base::str_cat(runtime.program, " ", environment.versions.find(runtime.program)->second);
  for (const std::string_view name : runtime.packages) {
    alternatives.emplace_back(name);
    const auto version = environment.versions.find(name);
    if (found.empty() && version != environment.versions.end())
      found = base::str_cat(name, " ", version->second);
  }
  if (found.empty()) missing.push_back(base::join(alternatives, " or "));
  for (const std::string_view name : runtime.besides) {
    if (!environment.versions.contains(name)) missing.emplace_back(name);
  }
  if (missing.empty()) return found;
  return base::not_found(runtime.name, " is not installed: '", environment.python.string(),
                         "' lacks ", base::join(missing, " and "), "; run ", runtime.setup,
                         ", or name a Python that has it in ", kVariable);
}

absl::StatusOr<std::string> installed_version(const Runtime& runtime) {
  const auto found = environment();
  if (!found.ok()) return base::annotate(found.status(), runtime.name);
  return version_in(*found, runtime);
}

std::vector<std::string> adapter_command(const Environment& environment, const Runtime& runtime) {
  return {environment.python.string(), "-c",
          base::str_cat(kProtocolScript, "\n\n", adapter_script(runtime.adapter))};
}

}  // namespace frugal::runtime
