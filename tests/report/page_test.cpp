// The page is opened in a real browser (headless Chromium) and must draw itself: its script sets
// data-drawn as its last act.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/file.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  char buffer[4096];
  for (size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, n);
  pclose(pipe);
  return output;
}

size_t count(std::string_view text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

TEST(Page, HoldsTheReportAndNothingThatEndsItsScript) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(sample_journal()));
  const std::string page = render_page(report);
  EXPECT_EQ(count(page, "</script>"),
            2u);  // of the data and of the code, none from the sample's name
  EXPECT_THAT(page, HasSubstr("sample &lt;/script&gt;&lt;b&gt; · frugal report"));
  EXPECT_THAT(page, Not(HasSubstr("@DATA@")));
}

TEST(Page, RefersToNothingOutside) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(sample_journal()));
  const std::string page = render_page(report);
  for (const char* part : {"src=", "href=", "@import", "url(http", "fetch("})
    EXPECT_THAT(page, Not(HasSubstr(part)));
}

TEST(Page, DrawsItselfInABrowser) {
  if (output_of("command -v chromium").empty()) {
    const char* required = std::getenv("FRUGAL_REQUIRE_RUNTIMES");
    if (required != nullptr && std::string(required) == "1")
      FAIL() << "FRUGAL_REQUIRE_RUNTIMES=1, but there is no chromium";
    GTEST_SKIP() << "no chromium on this machine (scripts/setup --tests)";
  }
  const test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(sample_journal()));
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder.path() / "report.html", render_page(report)));
  const std::string dom = output_of(
      "HOME='" + folder.path().string() +
      "' timeout 60 chromium --headless=new --no-sandbox --disable-gpu --dump-dom 'file://" +
      (folder.path() / "report.html").string() + "' 2>/dev/null");
  const std::string drawn =
      dom.substr(0, dom.find("<script id="));  // what a reader sees, without the script's own text
  EXPECT_THAT(dom, HasSubstr("data-drawn=\"yes\""));
  EXPECT_THAT(drawn, HasSubstr("keeps sentiment/accuracy within 2.0 points of teacher"));
  EXPECT_GE(
      count(drawn, "<svg"),
      8u);  // three marks, and a figure each for trade-off, differences, steps, layers, training
  EXPECT_GE(count(drawn, "<circle"), 3u);        // the models as points
  EXPECT_THAT(drawn, HasSubstr("url(#hatch)"));  // modelled energy is hatched
  EXPECT_THAT(drawn, Not(HasSubstr("undefined"))) << "a field the script expects is missing";
}

}  // namespace
}  // namespace frugal::report
