// A program that runs beside this one and talks with it over its standard input and output.
//
// It lives in a process group of its own, so that Ctrl-C reaches this process alone, and dies with
// this process or with the object. Its CPU time counts in cpu_seconds() while it runs. What it
// writes to standard error is kept, as far as the last kilobytes, for messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace frugal::base {

class ChildProcess {
 public:
  // `command[0]` is looked up on the PATH. Errors: no pipe or process to be had. A program that
  // cannot be run is told by the first read or write.
  static absl::StatusOr<ChildProcess> start(const std::vector<std::string>& command);
  ChildProcess(ChildProcess&&) noexcept;
  ChildProcess& operator=(ChildProcess&&) noexcept;
  // Closes its input, which asks it to end, and kills it where it does not.
  ~ChildProcess();

  // All of these wait until they are done. Errors: the child ended (how, and the end of what it
  // wrote to standard error); not a byte moved for set_patience's seconds; interrupted.
  absl::Status write(std::string_view bytes);
  absl::Status read(std::span<std::byte> bytes);
  // Without its line feed. Errors besides: a line longer than `limit`.
  absl::StatusOr<std::string> read_line(size_t limit);

  void set_patience(double seconds);  // half an hour by itself

  // The most memory it has had resident, in bytes; unknown where the kernel does not say.
  std::optional<int64_t> peak_resident_bytes() const;
  double cpu_seconds() const;
  // The end of what it wrote to standard error so far.
  std::string error_output();

 private:
  struct State;
  explicit ChildProcess(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace frugal::base
