// frugal import: another format's model as a checkpoint folder.
#include <cstdio>

#include "artifact/importer.h"
#include "base/file.h"
#include "base/progress.h"
#include "pass/publish.h"
#include "session.h"

namespace frugal::tool {

int import_model(const ImportArguments& arguments) {
  RunArguments output;
  output.quiet = arguments.quiet;
  set_output(output);
  const artifact::Importer* importer = artifact::importer_of(arguments.file);
  if (importer == nullptr) {
    return fail(base::as_std(artifact::explain_no_importer(arguments.file).message()),
                pass::kExitUsage);
  }
  if (const absl::Status free = pass::check_target(arguments.out, arguments.force); !free.ok())
    return fail(base::as_std(free.message()), pass::kExitUsage);
  std::vector<std::string> lines;
  const absl::Status status = pass::publish_made(
      arguments.out, arguments.force, [&](const std::filesystem::path& folder) -> absl::Status {
        FRUGAL_ASSIGN_OR_RETURN(lines, importer->write(arguments.file, folder));
        return absl::OkStatus();
      });
  if (!status.ok())
    return fail(base::str_cat("import: ", base::as_std(status.message())), exit_code(status));
  if (arguments.quiet) return pass::kExitDone;
  for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  std::printf("wrote %s\n", arguments.out.c_str());
  return pass::kExitDone;
}

}  // namespace frugal::tool
