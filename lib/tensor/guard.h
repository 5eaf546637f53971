// The only crossing between exceptions (LibTorch, std) and absl::Status.
#pragma once

#include <functional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/status.h"

namespace frugal::tensor {

// Status of the exception in flight (call inside catch): out of memory -> ResourceExhausted, not
// implemented -> Unimplemented, value/type/index errors -> InvalidArgument, other c10::Error and
// std::exception -> Internal. The message starts with `what`; LibTorch's backtrace goes to the
// debug log.
absl::Status status_of_current_exception(std::string_view what);

// Runs `body`; `what` says what was being done ("layer 3, down_proj"). body returns void, T,
// absl::Status or absl::StatusOr<T>; guarded returns absl::Status or absl::StatusOr<T>.
template <typename Body>
auto guarded(std::string_view what, Body&& body) {
  using Result = std::invoke_result_t<Body>;
  if constexpr (std::is_void_v<Result>) {
    try {
      std::forward<Body>(body)();
      return absl::OkStatus();
    } catch (...) {
      return status_of_current_exception(what);
    }
  } else if constexpr (std::is_constructible_v<Result, absl::Status>) {
    try {
      return std::forward<Body>(body)();
    } catch (...) {
      return Result(status_of_current_exception(what));
    }
  } else {
    try {
      return absl::StatusOr<Result>(std::forward<Body>(body)());
    } catch (...) {
      return absl::StatusOr<Result>(status_of_current_exception(what));
    }
  }
}

}  // namespace frugal::tensor
