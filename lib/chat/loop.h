// `loop` within a for loop.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "chat/value.h"

namespace frugal::chat {

class Loop : public Object {
 public:
  // `known_length`: of what has one; others are read to their end where the length is asked for.
  Loop(Iterator& source, std::optional<int64_t> known_length)
      : source_(source), length_(known_length) {}

  // The next item, with `loop` moved to it.
  absl::StatusOr<std::optional<Value>> advance(Workspace& workspace);

  std::string_view type_name() const override { return "LoopContext"; }
  absl::StatusOr<std::optional<Value>> attribute(Workspace& workspace,
                                                 std::string_view name) override;
  absl::StatusOr<Value> call(Workspace& workspace, const Arguments& arguments) override;

 private:
  friend class LoopMethod;
  absl::StatusOr<std::optional<Value>> take(Workspace& workspace);
  absl::StatusOr<const std::optional<Value>*> peek(Workspace& workspace);
  absl::StatusOr<int64_t> length(Workspace& workspace);

  Iterator& source_;
  std::optional<int64_t> length_;
  std::vector<Value> read_ahead_;  // where the length was asked for
  size_t read_at_ = 0;
  int64_t index0_ = -1;
  bool peeked_ = false;
  std::optional<Value> next_;
  std::optional<Value> current_;
  std::optional<Value> previous_;
  std::optional<std::vector<Value>> changed_;
};

}  // namespace frugal::chat
