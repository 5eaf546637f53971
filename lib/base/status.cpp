#include "base/status.h"

#include <cerrno>
#include <string>
#include <system_error>

namespace frugal::base {
namespace {

absl::StatusCode code_of(int error_number) {
  switch (error_number) {
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return absl::StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return absl::StatusCode::kResourceExhausted;
    case EINVAL:
    case EISDIR:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kFailedPrecondition;
  }
}

}  // namespace

// Nothing else in the house answers with Cancelled, so the code alone says it.
absl::Status interrupted() { return absl::CancelledError("interrupted"); }

bool is_interrupted(const absl::Status& status) {
  return status.code() == absl::StatusCode::kCancelled;
}

absl::Status annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status out(status.code(), str_cat(context, ": ", status.message()));
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { out.SetPayload(url, payload); });
  return out;
}

absl::Status system_error(std::string_view verb, std::string_view path, int error_number) {
  return absl::Status(code_of(error_number), str_cat("cannot ", verb, " '", path, "': ",
                                                     std::generic_category().message(error_number),
                                                     " (", error_number, ")"));
}

}  // namespace frugal::base
