// The models that scripts/setup --models installs: .models in the source tree, or FRUGAL_MODELS.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>

namespace frugal::test {

inline constexpr std::string_view kSmolLm2File = "SmolLM2-135M-Instruct.Q4_1.gguf";
inline constexpr std::string_view kGemma3File = "gemma-3-270m-q4_k_m.gguf";

// An empty path where it is absent.
inline std::filesystem::path real_model(std::string_view name) {
  const char* models = std::getenv("FRUGAL_MODELS");
  const char* source = std::getenv("FRUGAL_SOURCE_DIR");
  const std::filesystem::path folder = models != nullptr ? std::filesystem::path(models)
                                       : source != nullptr
                                           ? std::filesystem::path(source) / ".models"
                                           : std::filesystem::path(".models");
  std::error_code error;
  return std::filesystem::is_regular_file(folder / name, error) ? folder / name
                                                                : std::filesystem::path();
}

// True when FRUGAL_REQUIRE_MODELS=1: absent models are then a failure, not a skip.
inline bool models_required() {
  const char* value = std::getenv("FRUGAL_REQUIRE_MODELS");
  return value != nullptr && std::string_view(value) == "1";
}

}  // namespace frugal::test

#define FRUGAL_REAL_MODEL_OR_SKIP(variable, name)                                                  \
  const std::filesystem::path variable = ::frugal::test::real_model(name);                         \
  if (variable.empty()) {                                                                          \
    if (::frugal::test::models_required())                                                         \
      FAIL() << "FRUGAL_REQUIRE_MODELS=1, but " << (name) << " is absent: scripts/setup --models"; \
    GTEST_SKIP() << (name) << " is not on this machine: scripts/setup --models";                   \
  }                                                                                                \
  static_assert(true)
