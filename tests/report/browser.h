// A page as Chromium draws it.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/file.h"
#include "support/shared_data.h"

namespace frugal::report {

inline bool has_browser() { return std::system("command -v chromium >/dev/null") == 0; }

// Skips where there is no Chromium; fails where one is required.
#define FRUGAL_NEEDS_BROWSER()                                             \
  if (!has_browser()) {                                                    \
    const char* required = std::getenv("FRUGAL_REQUIRE_RUNTIMES");         \
    if (required != nullptr && std::string(required) == "1")               \
      FAIL() << "FRUGAL_REQUIRE_RUNTIMES=1, but there is no chromium";     \
    GTEST_SKIP() << "no chromium on this machine (scripts/setup --tests)"; \
  }

// The document of `page` after its script and `script` ran; without the script's own text.
inline std::string drawn(const std::string& page, const std::string& script = "") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "page.html";
  FRUGAL_EXPECT_OK(base::write_file_atomically(file, page + "<script>" + script + "</script>"));
  const std::string command = "HOME='" + folder.path().string() +
                              "' timeout 120 chromium --headless=new --no-sandbox --disable-gpu "
                              "--window-size=1200,900 --dump-dom 'file://" +
                              file.string() + "' 2>/dev/null";
  std::string dom;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> piece;
  for (size_t count; (count = std::fread(piece.data(), 1, piece.size(), pipe)) > 0;)
    dom.append(piece.data(), count);
  ::pclose(pipe);
  EXPECT_NE(dom.find("data-drawn=\"yes\""), std::string::npos)
      << "the script did not come to its end";
  dom.resize(std::min(dom.size(), dom.find("<script id=")));
  for (const char* slip : {"undefined", "NaN", "[object"})
    EXPECT_EQ(dom.find(slip), std::string::npos) << "a field the script expects is missing";
  return dom;
}

}  // namespace frugal::report
