// Messages between frugal and an adapter: a line of JSON, then as many raw bytes as its "bytes"
// says. Internal to this room.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/child_process.h"
#include "base/json.h"
#include "base/status.h"

namespace frugal::runtime {

// An adapter that answers one request at a time. What it says is not trusted: sizes are compared
// with what was asked for before anything is allocated. After an error that is not the adapter's
// own refusal nothing more can be asked.
class Adapter {
 public:
  // `name` stands in messages: "llama.cpp".
  static absl::StatusOr<Adapter> start(std::string name, const std::vector<std::string>& command);

  absl::Status send(base::Json request, std::string_view payload = {});
  // The next answer's line, with "ok" true. Errors: the adapter's refusal in its words; no message.
  absl::StatusOr<base::Json> receive();
  // The bytes behind the last line: exactly `bytes.size()` of them. Errors: the line said
  // otherwise.
  absl::Status receive_bytes(std::span<std::byte> bytes);

  // An answer that is one line.
  absl::StatusOr<base::Json> ask(base::Json request, std::string_view payload = {});

  const std::string& name() const { return name_; }
  base::ChildProcess& process() { return process_; }
  const base::ChildProcess& process() const { return process_; }

 private:
  Adapter(std::string name, base::ChildProcess process)
      : name_(std::move(name)), process_(std::move(process)) {}
  std::string name_;
  base::ChildProcess process_;
  int64_t waiting_bytes_ = 0;  // behind the last line
};

// Numbers as their bytes, little endian as every machine of ours is.
template <typename T>
std::string_view bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace frugal::runtime
