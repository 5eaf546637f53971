// Tested by: tests/runtime/session_test.cpp
#include "runtime/messages.h"

#include <bit>

namespace frugal::runtime {
namespace {

static_assert(std::endian::native == std::endian::little);
constexpr size_t kLongestLine = size_t{1} << 22;

}  // namespace

absl::StatusOr<Adapter> Adapter::start(std::string name, const std::vector<std::string>& command) {
  FRUGAL_ASSIGN_OR_RETURN(auto process, base::ChildProcess::start(command));
  return Adapter(std::move(name), std::move(process));
}

absl::Status Adapter::send(base::Json request, std::string_view payload) {
  request["bytes"] = payload.size();
  // A file's name may be no UTF-8, which dump() by itself answers with an exception.
  const std::string line = request.dump(-1, ' ', false, base::Json::error_handler_t::replace);
  FRUGAL_RETURN_IF_ERROR(base::annotate(process_.write(line + "\n"), name_));
  return base::annotate(process_.write(payload), name_);
}

absl::StatusOr<base::Json> Adapter::receive() {
  auto line = process_.read_line(kLongestLine);
  if (!line.ok()) return base::annotate(line.status(), name_);
  const std::string where = base::str_cat(name_, ": an answer of its adapter");
  FRUGAL_ASSIGN_OR_RETURN(base::Json answer, base::parse_json(*line, where));
  if (!answer.is_object()) return base::failed(where, " is no object");
  FRUGAL_ASSIGN_OR_RETURN(const bool ok, base::json_get<bool>(answer, "ok", where));
  FRUGAL_ASSIGN_OR_RETURN(waiting_bytes_, base::json_get<int64_t>(answer, "bytes", where));
  if (ok) return answer;
  FRUGAL_ASSIGN_OR_RETURN(const std::string error,
                          base::json_get<std::string>(answer, "error", where));
  const std::string_view said = base::trim(process_.error_output());
  constexpr size_t kShown = 600;
  return base::failed(
      name_, ": ", error,
      said.empty() ? ""
                   : base::str_cat("\n", said.substr(said.size() - std::min(said.size(), kShown))));
}

absl::Status Adapter::receive_bytes(std::span<std::byte> bytes) {
  if (waiting_bytes_ != static_cast<int64_t>(bytes.size())) {
    return base::failed(name_, ": its adapter announces ", waiting_bytes_, " bytes where ",
                        bytes.size(), " were expected");
  }
  waiting_bytes_ = 0;
  return base::annotate(process_.read(bytes), name_);
}

absl::StatusOr<base::Json> Adapter::ask(base::Json request, std::string_view payload) {
  FRUGAL_RETURN_IF_ERROR(send(std::move(request), payload));
  return receive();
}

}  // namespace frugal::runtime
