// The runtimes that serve artifacts: what each reads, and whether it is here.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace frugal::runtime {

struct Runtime {
  std::string_view name;                   // "llama.cpp"
  std::string_view adapter;                // of scripts/runtimes: "llamacpp"
  std::vector<std::string_view> formats;   // as exporters call them: "gguf"
  std::vector<std::string_view> packages;  // one of these is it, the first one preferred
  std::vector<std::string_view> besides;   // and all of these
  // In place of a package: a program on the PATH, that the adapter starts.
  std::string_view program;
  std::string_view setup;  // what installs it: "scripts/setup --runtimes"
  // One id at a time: somebody else is asked where there is a choice.
  bool scores_slowly = false;
  // Several sequences cannot be taken back to the end of their prompts, so their decoding cannot be
  // timed again.
  bool times_one_sequence = false;
  std::string_view arithmetic;  // what of it makes its numbers differ from an exact forward
};

// In the order of preference for a format.
std::span<const Runtime> runtimes();
// By name; null where there is none.
const Runtime* find_runtime(std::string_view name);
// The preferred one for a format; null where none serves it.
const Runtime* runtime_of(std::string_view format);

// A Python and the packages that matter in it.
struct Environment {
  std::filesystem::path python;
  std::map<std::string, std::string, std::less<>> versions;  // package -> version
};

// The Python that runs adapters: $FRUGAL_RUNTIMES, else the environment of scripts/setup
// --runtimes. Asks it once in the life of this process. Errors: no such Python, with the remedy;
// one that does not run.
absl::StatusOr<Environment> environment();
// The same of a given interpreter or folder, asked anew.
absl::StatusOr<Environment> read_environment(const std::filesystem::path& python);

// "xllamacpp 2026.10.11549". Errors: it is not there, with the remedy.
absl::StatusOr<std::string> version_in(const Environment& environment, const Runtime& runtime);
// The same in environment().
absl::StatusOr<std::string> installed_version(const Runtime& runtime);

// What starts the adapter of `runtime`.
std::vector<std::string> adapter_command(const Environment& environment, const Runtime& runtime);

}  // namespace frugal::runtime
