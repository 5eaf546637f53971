// What tests share: the golden files of tests/chat/golden.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/json.h"

namespace frugal::chat {

inline base::Json read_golden(const char* name) {
  const char* root = std::getenv("FRUGAL_SOURCE_DIR");
  const std::filesystem::path folder =
      std::filesystem::path(root == nullptr ? "." : root) / "tests/chat/golden";
  const auto json = base::read_json(folder / name);
  EXPECT_TRUE(json.ok()) << json.status().ToString();
  return json.ok() ? *json : base::Json();
}

}  // namespace frugal::chat
