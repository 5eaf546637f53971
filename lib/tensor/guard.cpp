#include "tensor/guard.h"

#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string>

#include "base/log.h"

namespace frugal::tensor {
namespace {

// LibTorch's CPU allocator reports exhaustion as a plain c10::Error; its text is the only mark.
bool is_cpu_allocation_failure(std::string_view message) {
  return message.find("DefaultCPUAllocator") != std::string_view::npos;
}

absl::Status status_of(const c10::Error& error, absl::StatusCode code, std::string_view what) {
  base::debug(what, ": ", error.what());
  const std::string_view message = error.what_without_backtrace();
  return {code, base::as_absl(base::str_cat(what, ": ", message))};
}

}  // namespace

absl::Status status_of_current_exception(std::string_view what) {
  try {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    return status_of(error, absl::StatusCode::kResourceExhausted, what);
  } catch (const c10::NotImplementedError& error) {
    return status_of(error, absl::StatusCode::kUnimplemented, what);
  } catch (const c10::ValueError& error) {
    return status_of(error, absl::StatusCode::kInvalidArgument, what);
  } catch (const c10::TypeError& error) {
    return status_of(error, absl::StatusCode::kInvalidArgument, what);
  } catch (const c10::IndexError& error) {
    return status_of(error, absl::StatusCode::kInvalidArgument, what);
  } catch (const c10::Error& error) {
    return status_of(error,
                     is_cpu_allocation_failure(error.what_without_backtrace())
                         ? absl::StatusCode::kResourceExhausted
                         : absl::StatusCode::kInternal,
                     what);
  } catch (const std::bad_alloc&) {
    return base::resource_exhausted(what, ": out of memory");
  } catch (const std::exception& error) {
    return base::internal(what, ": ", error.what());
  } catch (...) {
    return base::internal(what, ": an exception that is no std::exception");
  }
}

}  // namespace frugal::tensor
