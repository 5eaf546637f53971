// What tests share: the folder of real material, temporary folders, assertions on absl::Status.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace frugal::test {

// The path of `relative` below FRUGAL_SHARED_DATA, or an empty path where it is absent.
std::filesystem::path shared_data(std::string_view relative);

// True when FRUGAL_REQUIRE_DATA=1: absent material is then a failure, not a skip.
bool data_required();

// A fresh folder that is removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline absl::Status status_of(const absl::Status& status) { return status; }
template <typename T>
absl::Status status_of(const absl::StatusOr<T>& value) {
  return value.status();
}

}  // namespace frugal::test

// Skips the test with a clear word where the material is absent; fails it where
// FRUGAL_REQUIRE_DATA=1.
#define FRUGAL_SHARED_DATA_OR_SKIP(variable, relative)                                             \
  const std::filesystem::path variable = ::frugal::test::shared_data(relative);                    \
  if (variable.empty()) {                                                                          \
    if (::frugal::test::data_required()) {                                                         \
      FAIL() << "FRUGAL_REQUIRE_DATA=1, but " << (relative) << " is not below FRUGAL_SHARED_DATA"; \
    }                                                                                              \
    GTEST_SKIP() << "real material '" << (relative) << "' is not on this machine";                 \
  }                                                                                                \
  static_assert(true)

#define FRUGAL_EXPECT_OK(expression)                                           \
  do {                                                                         \
    const absl::Status frugal_status_ = ::frugal::test::status_of(expression); \
    EXPECT_TRUE(frugal_status_.ok()) << frugal_status_.ToString();             \
  } while (false)

#define FRUGAL_ASSERT_OK(expression)                                           \
  do {                                                                         \
    const absl::Status frugal_status_ = ::frugal::test::status_of(expression); \
    ASSERT_TRUE(frugal_status_.ok()) << frugal_status_.ToString();             \
  } while (false)

// ASSERT that a StatusOr holds a value and move it out: FRUGAL_ASSERT_OK_AND_ASSIGN(auto file,
// open(path));
#define FRUGAL_ASSERT_OK_AND_ASSIGN(declaration, expression)                                    \
  FRUGAL_ASSERT_OK_AND_ASSIGN_IMPL_(FRUGAL_TEST_CONCAT_(frugal_result_, __LINE__), declaration, \
                                    expression)
#define FRUGAL_TEST_CONCAT_INNER_(a, b) a##b
#define FRUGAL_TEST_CONCAT_(a, b) FRUGAL_TEST_CONCAT_INNER_(a, b)
#define FRUGAL_ASSERT_OK_AND_ASSIGN_IMPL_(result, declaration, expression) \
  auto result = (expression);                                              \
  ASSERT_TRUE(result.ok()) << result.status().ToString();                  \
  declaration = *std::move(result)

// EXPECT that an expression fails with `code` and that its message holds `text`.
#define FRUGAL_EXPECT_ERROR(expression, expected_code, text)                        \
  do {                                                                              \
    const absl::Status frugal_status_ = ::frugal::test::status_of(expression);      \
    EXPECT_EQ(frugal_status_.code(), expected_code) << frugal_status_.ToString();   \
    EXPECT_THAT(std::string(frugal_status_.message()), ::testing::HasSubstr(text)); \
  } while (false)
