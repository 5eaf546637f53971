// Runs the tree of a template.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "chat/syntax.h"
#include "chat/template.h"
#include "chat/value.h"

namespace frugal::chat {

// `variables`: one for each name of the program; absent: not given. Errors: "line 3, column 7:
// ...".
absl::StatusOr<Rendered> run_program(const Program& program, Workspace& workspace,
                                     std::vector<std::optional<Value>> variables);

}  // namespace frugal::chat
