// What one rendering may use: templates come from outside and may be hostile.
#pragma once

#include <cstddef>
#include <cstdint>

namespace frugal::chat {

struct Limits {
  int64_t steps = 50'000'000;              // nodes evaluated and items visited; about 0.1 µs each
  int64_t value_bytes = int64_t{1} << 30;  // of all values ever made, freed or not
  int64_t output_bytes = int64_t{64} << 20;
  int depth =
      600;  // nested evaluations, macros within macros among them; about 1 KiB of stack each
};

// Of values: lists within lists. Also bounds what printing and comparing recurse into.
inline constexpr int kMaxValueDepth = 200;
// Of the source: parentheses, operators in a row, blocks within blocks.
inline constexpr int kMaxSourceDepth = 200;
inline constexpr int64_t kMaxSourceBytes = int64_t{1} << 20;
// Of one template: names of variables, and arguments of a call or parameters of a macro. They are
// looked up one by one; real templates have fewer than a hundred and fewer than ten.
inline constexpr size_t kMaxNames = 1000;
inline constexpr size_t kMaxArguments = 255;
// As the sandbox of Jinja has it.
inline constexpr int64_t kMaxRange = 100'000;

}  // namespace frugal::chat
