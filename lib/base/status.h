// absl::Status with messages assembled from parts, and the two macros that hand errors on.
//
// A message says: what failed, where, what was found, what was expected, what to do.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/text.h"

namespace frugal::base {

// The caller's input is wrong: a file, an option, a pipeline.
template <typename... Parts>
absl::Status invalid_argument(const Parts&... parts) {
  return absl::InvalidArgumentError(str_cat(parts...));
}
template <typename... Parts>
absl::Status not_found(const Parts&... parts) {
  return absl::NotFoundError(str_cat(parts...));
}
// The input is well-formed but asks for something that frugal does not do (yet).
template <typename... Parts>
absl::Status unimplemented(const Parts&... parts) {
  return absl::UnimplementedError(str_cat(parts...));
}
// The input was valid when checked and the work failed all the same (disk full, NaN met, meter
// gone).
template <typename... Parts>
absl::Status failed(const Parts&... parts) {
  return absl::FailedPreconditionError(str_cat(parts...));
}
// Data on disk is damaged: truncated, wrong checksum, inconsistent.
template <typename... Parts>
absl::Status data_loss(const Parts&... parts) {
  return absl::DataLossError(str_cat(parts...));
}
template <typename... Parts>
absl::Status internal(const Parts&... parts) {
  return absl::InternalError(str_cat(parts...));
}
template <typename... Parts>
absl::Status resource_exhausted(const Parts&... parts) {
  return absl::ResourceExhaustedError(str_cat(parts...));
}
// The user asked to stop (base/interrupt.h).
absl::Status interrupted();
bool is_interrupted(const absl::Status& status);

// The same code with "`context`: " in front of the message; OK stays OK.
absl::Status annotate(const absl::Status& status, std::string_view context);

// The failure `error_number` of a system call (errno) on `path`: "cannot write 'x': No space left
// on device (28)".
absl::Status system_error(std::string_view verb, std::string_view path, int error_number);

}  // namespace frugal::base

#define FRUGAL_CONCAT_INNER_(a, b) a##b
#define FRUGAL_CONCAT_(a, b) FRUGAL_CONCAT_INNER_(a, b)

#define FRUGAL_RETURN_IF_ERROR(expression)           \
  do {                                               \
    absl::Status frugal_status_ = (expression);      \
    if (!frugal_status_.ok()) return frugal_status_; \
  } while (false)

// FRUGAL_ASSIGN_OR_RETURN(auto file, open(path));
#define FRUGAL_ASSIGN_OR_RETURN(declaration, expression) \
  FRUGAL_ASSIGN_OR_RETURN_IMPL_(FRUGAL_CONCAT_(frugal_statusor_, __LINE__), declaration, expression)
#define FRUGAL_ASSIGN_OR_RETURN_IMPL_(result, declaration, expression) \
  auto result = (expression);                                          \
  if (!result.ok()) return std::move(result).status();                 \
  declaration = *std::move(result)
