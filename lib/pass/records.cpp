#include "pass/records.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/hash.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/progress.h"
#include "base/text.h"

namespace frugal::pass {
namespace fs = std::filesystem;
namespace {

struct FoundFile {
  std::string name;  // relative to the folder
  int64_t bytes = 0;
};

// Every regular file below `folder`, by name.
absl::StatusOr<std::vector<FoundFile>> files_below(const fs::path& folder) {
  std::vector<FoundFile> found;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (!entry->is_regular_file(error) || error) continue;
    const auto bytes = static_cast<int64_t>(entry->file_size(error));
    found.push_back({entry->path().lexically_relative(folder).generic_string(), bytes});
  }
  if (error) return base::system_error("list", folder.string(), error.value());
  std::sort(found.begin(), found.end(),
            [](const FoundFile& a, const FoundFile& b) { return a.name < b.name; });
  return found;
}

int64_t bytes_of(const std::vector<FoundFile>& files) {
  int64_t bytes = 0;
  for (const FoundFile& file : files) bytes += file.bytes;
  return bytes;
}

std::string_view kind_text(Output output) {
  return output == Output::kCheckpoint ? "checkpoint"
         : output == Output::kArtifact ? "artifact"
                                       : "none";
}

}  // namespace

base::Json machine_json(const std::string& device) {
  utsname name{};
  ::uname(&name);
  const int64_t memory = int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  return {{"cpu", base::cpu_model_name()},
          {"cores", base::available_cpus()},
          {"memory_bytes", memory > 0 ? base::Json(memory) : base::Json(nullptr)},
          {"os", base::str_cat(name.sysname, " ", name.release, " ", name.machine)},
          {"device", device}};
}

base::Json report_json(const ReportEntry& report) {
  base::Json out = base::Json::object();
  out["baseline"] =
      report.baseline.name.empty() ? base::Json(nullptr) : base::Json(report.baseline.name);
  out["claim"] = nullptr;
  if (const auto& claim = report.claim) {
    out["claim"] = {{"metric", claim->metric},
                    {"margin", claim->margin},
                    {"kind", claim->kind},
                    {"gate", claim->gate}};
  }
  return out;
}

// What the report is to know of a checkpoint.
base::Json describe_checkpoint(const format::Checkpoint& checkpoint) {
  const int64_t parameters = checkpoint.config().parameter_count();
  const int64_t weight_bytes = checkpoint.weight_bytes();
  return {{"architecture", architecture_text(checkpoint.config())},
          {"weight_bytes", weight_bytes},
          {"parameters", parameters},
          {"bits_per_weight",
           8.0 * static_cast<double>(weight_bytes) / static_cast<double>(parameters)}};
}

base::Json describe_model(const ModelInput& input) {
  if (input.checkpoint) return describe_checkpoint(*input.checkpoint);
  return {{"architecture", nullptr},
          {"weight_bytes", input.info.size_bytes},
          {"parameters", nullptr},
          {"bits_per_weight", nullptr}};
}

base::Json start_fields(const Unit& unit) {
  base::Json from = base::Json::array();
  if (!unit.from.empty()) from.push_back(unit.from);
  return {{"id", unit.id},
          {"variant", unit.variant},
          {"pass", unit.pass->info().name},
          {"version", unit.pass->info().version},
          {"key", unit.key},
          {"arithmetic", unit.arithmetic},
          {"from", from},
          {"options", unit.options}};
}

absl::StatusOr<base::Json> hash_files(const fs::path& folder, std::string_view title) {
  constexpr int64_t kMegabyte = 1'000'000;
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<FoundFile> files, files_below(folder));
  base::Progress progress(title, "MB", bytes_of(files) / kMegabyte);
  base::Json rows = base::Json::array();
  int64_t done = 0;
  for (const FoundFile& file : files) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    FRUGAL_ASSIGN_OR_RETURN(const std::string hash, base::sha256_of_file(folder / file.name));
    rows.push_back({{"path", file.name}, {"bytes", file.bytes}, {"sha256", hash}});
    progress.advance((done + file.bytes) / kMegabyte - done / kMegabyte);
    done += file.bytes;
  }
  return rows;
}

absl::StatusOr<base::Json> describe_output(const Unit& unit, const fs::path& folder) {
  const Output kind = unit.pass->info().output;
  if (kind == Output::kNone) return base::Json(nullptr);
  base::Json weights = base::Json::object();
  if (kind == Output::kCheckpoint) {
    const auto checkpoint = format::Checkpoint::open(folder);
    if (!checkpoint.ok())
      return base::annotate(checkpoint.status(), "the pass left no sound checkpoint behind");
    weights = describe_checkpoint(*checkpoint);
  }
  std::error_code error;
  if (fs::is_empty(folder, error)) return base::internal("the pass left nothing behind");
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<FoundFile> files, files_below(folder));
  FRUGAL_ASSIGN_OR_RETURN(const std::string hash, base::hash_folder(folder));
  base::Json output = {{"kind", kind_text(kind)}, {"bytes", bytes_of(files)}, {"hash", hash}};
  output.update(weights);
  return output;
}

}  // namespace frugal::pass
