// The page is opened in a real browser (headless Chromium) and must draw itself: its script sets
// data-drawn as its last act.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

#include "base/file.h"
#include "base/text.h"
#include "report/page_parts.h"
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

TEST(PageParts, AreTheFilesWhole) {
  const std::filesystem::path folder = PAGE_FOLDER;
  EXPECT_EQ(kPageHtml, base::read_file(folder / "page.html").value());
  EXPECT_EQ(kPageCss, base::read_file(folder / "page.css").value());
  size_t length = 0;
  for (const auto& part : std::filesystem::directory_iterator(folder / "parts")) {
    const std::string text = base::read_file(part.path()).value();
    EXPECT_EQ(count(kPageJs, text), 1u) << part.path();
    length += text.size();
  }
  EXPECT_EQ(kPageJs.size(), length);
  for (const char* place : {"@TITLE@", "@STYLE@", "@DATA@", "@SCRIPT@"})
    EXPECT_EQ(count(kPageHtml, place), 1u) << place;
}

TEST(Page, RefersToNothingOutside) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const base::Json report, summarize(sample_journal()));
  const std::string page = render_page(report);
  for (const char* part : {"src=", "href=", "@import", "url(http", "fetch("})
    EXPECT_THAT(page, Not(HasSubstr(part)));
}

// The page of `journal` as Chromium draws it in a window of 1200 px, without the script's own text;
// `script` runs behind it. Skips where there is no Chromium.
class PageInABrowser : public testing::Test {
 protected:
  void SetUp() override {
    if (!output_of("command -v chromium").empty()) return;
    const char* required = std::getenv("FRUGAL_REQUIRE_RUNTIMES");
    if (required != nullptr && std::string(required) == "1")
      FAIL() << "FRUGAL_REQUIRE_RUNTIMES=1, but there is no chromium";
    GTEST_SKIP() << "no chromium on this machine (scripts/setup --tests)";
  }

  std::filesystem::path write(const JournalView& journal, const std::string& script = "") {
    const auto report = summarize(journal);
    if (!report.ok()) {
      ADD_FAILURE() << report.status();
      return "";
    }
    const std::filesystem::path file = folder_.path() / "report.html";
    FRUGAL_EXPECT_OK(base::write_file_atomically(
        file, render_page(*report) + (script.empty() ? "" : "<script>" + script + "</script>")));
    return file;
  }

  // What browser_checks.py finds wrong; its line on bytes, elements and time is printed.
  std::string faults_of(const JournalView& journal) {
    const std::string said = output_of(std::string("timeout 300 python3 ") + BROWSER_CHECKS + " '" +
                                       write(journal).string() + "' 2>&1");
    const size_t end = said.find('\n');
    std::cout << said.substr(0, end) << "\n";
    EXPECT_THAT(said.substr(0, end), HasSubstr(" elements, ")) << said;
    return end == std::string::npos ? said : said.substr(end + 1);
  }

  std::string draw(const JournalView& journal, const std::string& script = "") {
    const std::filesystem::path file = write(journal, script);
    const std::string dom = output_of(
        "HOME='" + folder_.path().string() +
        "' timeout 120 chromium --headless=new --no-sandbox --disable-gpu --window-size=1200,900 "
        "--dump-dom 'file://" +
        file.string() + "' 2>/dev/null");
    EXPECT_THAT(dom, HasSubstr("data-drawn=\"yes\"")) << "the script did not come to its end";
    const std::string drawn = dom.substr(0, dom.find("<script id="));
    for (const char* slip : {"undefined", "NaN", "[object"})
      EXPECT_THAT(drawn, Not(HasSubstr(slip))) << "a field the script expects is missing";
    return drawn;
  }
  test::TemporaryFolder folder_;
};

TEST_F(PageInABrowser, DrawsEveryFigure) {
  JournalView journal = sample_journal();
  journal.steps[1]["warnings"] = {"the first one", "the second one"};
  const std::string drawn = draw(journal);
  EXPECT_THAT(drawn, HasSubstr("keeps sentiment/accuracy within 2.0 points of teacher"));
  // The hatch, three marks, and a figure each for trade-off, differences, steps, layers, training.
  EXPECT_GE(count(drawn, "<svg"), 9u);
  EXPECT_GE(count(drawn, "<circle"), 3u);        // the models as points
  EXPECT_THAT(drawn, HasSubstr("url(#hatch)"));  // modelled energy is hatched
  EXPECT_THAT(drawn, HasSubstr(">down_proj</text>"));
  EXPECT_THAT(drawn, HasSubstr("Llama 2L"));
  EXPECT_THAT(drawn,
              HasSubstr("<li>the first one <span class=\"where\">(small/q4_0)</span></li>"
                        "<li>the second one <span class=\"where\">(small/q4_0)</span></li>"));
}

// Nothing that a run may lack breaks the page, and nothing unknown is shown as zero.
TEST_F(PageInABrowser, DrawsARunThatKnowsLittle) {
  JournalView journal = sample_journal("");
  journal.run_start["report"] = {{"baseline", nullptr}, {"claim", nullptr}};
  journal.run_start["meters"] = base::Json::array();
  journal.run_start["site"]["intensity"]["grams_per_kwh"] = nullptr;
  for (base::Json& step : journal.steps) {
    step["energy"] = nullptr;
    step["peak_memory_bytes"] = nullptr;
    for (base::Json& number : step["statistics"]) number.erase("low");
  }
  journal.steps[0]["tables"]["training_curve"] = {
      {{"step", 0}, {"loss", 6.0}, {"cross_entropy", nullptr}, {"divergence", 6.0}},
      {{"step", 0}, {"loss", nullptr}, {"validation_loss", 2.1}}};
  const std::string drawn = draw(journal);
  EXPECT_THAT(drawn, HasSubstr("no claim declared"));
  EXPECT_THAT(drawn, HasSubstr("teacher: divergence to the teacher by step"));
  EXPECT_THAT(drawn, HasSubstr("teacher: cross-entropy on held-out data by step"));
  // Carbon and cost: unknown, and saying which assumption is missing.
  EXPECT_THAT(drawn, HasSubstr("grid, gCO2e/kWh is unknown: enter one above"));
  EXPECT_THAT(drawn, HasSubstr("price per kWh, any currency is unknown: enter one above"));
}

// Scope 2 both ways, scope 3 as a range, water; and what makes a number less sure stays beside what
// follows from it.
TEST_F(PageInABrowser, DrawsBothScopes) {
  JournalView journal = sample_journal();
  journal.steps[5]["statistics"][0]["marks"] = {"short window"};
  base::Json& site = journal.run_start["site"];
  site["market_intensity"] = {{"grams_per_kwh", 0}, {"year", 2024}, {"source", "contract"}};
  site["water"] = {{"liters_per_kwh", 1000}, {"year", 2024}, {"source", "meter"}};
  site["hardware"] = {{"embodied_kg_co2e", {{"low", 87.6}, {"high", 175.2}}},
                      {"lifetime_years", 5},
                      {"year", 2024},
                      {"source", "maker"}};
  const std::string drawn = draw(journal);
  const std::string mark = "<span class=\"interval\">* short window</span>";
  const auto cell = [&](const std::string& text, const std::string& interval = "") {
    const std::string bounds =
        interval.empty() ? "" : "<span class=\"interval\">" + interval + "</span>";
    return ">" + text + "</span>" + bounds + mark;
  };
  EXPECT_THAT(drawn, HasSubstr(cell("0.0161", "0.0131–0.0191")));  // 120.5 J / 3.6e6 × 1.2 × 400
  EXPECT_THAT(drawn, HasSubstr(cell("0")));                        // by the contract
  EXPECT_THAT(drawn, HasSubstr(cell("0.0335", "0.0272–0.0397")));  // liters, without PUE
  // 2 to 4 g an hour, and 1e6 / 8546 tokens/s are 0.0325 h.
  EXPECT_THAT(drawn, HasSubstr(cell("0.0811–0.1461")));
}

// Savings, their absence and their opposite are shown alike; what is unknown says why.
TEST_F(PageInABrowser, DrawsWhoTookTurnsWithAReference) {
  JournalView journal = sample_journal();
  const auto row = [](std::string metric, double log_ratio, double spread) {
    std::vector<double> rounds;
    for (int i = 0; i < 8; ++i) rounds.push_back(log_ratio + spread * (i - 3.5));
    return base::Json{{"metric", std::move(metric)},
                      {"batch", 1},
                      {"reference", "teacher"},
                      {"unit", "J"},
                      {"value", 3.25},
                      {"reference_value", 4.5},
                      {"rounds_left_out", 2},
                      {"provenance", "modelled"},
                      {"marks", {"short window"}},
                      {"log_ratios", rounds}};
  };
  base::Json lost = row("net_joules_per_request", 0, 0);
  lost["log_ratios"] = base::Json::array();
  lost["reason"] = "idle power is unknown";
  for (const auto& [variant, log_ratio] :
       {std::pair<const char*, double>{"small/a", -0.25}, {"small/b", 0.001}, {"small/c", 0.2}}) {
    base::Json step = checkpoint_step("turns", variant, "measure", 1);
    step["from"] = {variant};
    step["output"] = nullptr;
    step["tables"]["energy_comparison"] = {row("joules_per_request", log_ratio, 0.01), lost};
    journal.steps.push_back(step);
  }
  journal.steps.back()["tables"]["boundary"] = {
      {{"functional_unit", "one request answered"},
       {"reference_flow", "64 tokens read and 32 generated"},
       {"software_boundary", "inference alone"},
       {"inside", {{{"scope", "CPU (model)"}, {"part", "host"}, {"provenance", "modelled"}}}},
       {"outside", {"the building"}},
       {"shares", {{"accelerator", nullptr}, {"host", 1.0}, {"whole_machine", nullptr}}},
       {"idle_share", nullptr},
       {"provenance", "modelled"},
       {"marks", base::Json::array()}}};
  const std::string drawn = draw(journal);
  EXPECT_THAT(drawn, HasSubstr("The joules are of CPU (model) (host, modelled)"));
  EXPECT_THAT(drawn, HasSubstr("<li>the building</li>"));
  EXPECT_THAT(drawn, HasSubstr(">100.0%</span>"));
  EXPECT_THAT(drawn, HasSubstr("small/a saves 22% ["));
  EXPECT_THAT(drawn, HasSubstr("small/b shows no significant saving: between"));
  EXPECT_THAT(drawn, HasSubstr("small/c costs 22% more ["));
  EXPECT_THAT(drawn, HasSubstr("(short window)"));
  EXPECT_THAT(drawn, HasSubstr("<strong>saves 22% ["));
  EXPECT_THAT(drawn, HasSubstr("<strong>no significant saving"));
  EXPECT_THAT(drawn, HasSubstr("<strong>costs 22% more ["));
  EXPECT_THAT(drawn, HasSubstr("<strong>unknown: idle power is unknown</strong>"));
  EXPECT_THAT(drawn, HasSubstr("p × 3"));
  EXPECT_THAT(drawn, HasSubstr("<span class=\"interval\">* short window</span>"));
}

TEST_F(PageInABrowser, DrawsARunThatFailedAtOnce) {
  JournalView journal;
  journal.sha256 = std::string(64, 'a');
  journal.run_start = {{"event", "run_start"}, {"name", "short"}};
  journal.steps = {{{"event", "step_failed"},
                    {"id", "gguf"},
                    {"pass", "export"},
                    {"key", "k"},
                    {"error", "disk full"}}};
  const std::string drawn = draw(journal);
  EXPECT_THAT(drawn, HasSubstr("The run failed at step gguf."));
  EXPECT_THAT(drawn, HasSubstr("run failed</span>"));
}

TEST_F(PageInABrowser, AnswersItsReader) {
  // What a click or a key does is written into the page, one line each.
  const std::string drawn = draw(sample_journal(), R"js(
    const say = (text) => { const p = document.createElement("p"); p.textContent = text; document.querySelector("main").append(p); };
    const table = [...document.querySelectorAll("main table")].find((t) => t.caption.textContent.startsWith("Models"));
    const firsts = () => [...table.querySelectorAll("tbody tr")].map((r) => r.cells[0].textContent).join(" < ");
    const head = [...table.querySelectorAll("th")].find((t) => t.textContent === "size");
    head.click(); say("up: " + firsts());
    head.click(); say("down: " + firsts());
    const price = [...document.querySelectorAll("input")].find((i) => i.getAttribute("aria-label").startsWith("price"));
    const costs = () => price.closest("section").querySelector("tbody tr").cells[6].textContent;
    say("cost: " + costs());
    price.value = "400"; price.dispatchEvent(new Event("input")); say("cost at 400: " + costs());
    price.value = "0"; price.dispatchEvent(new Event("input")); say("cost at 0: " + costs());
    price.value = ""; price.dispatchEvent(new Event("input")); say("cost again: " + costs());
  )js");
  EXPECT_THAT(drawn, HasSubstr("up: small/q4_0 &lt; teacher<"));
  EXPECT_THAT(drawn, HasSubstr("down: teacher &lt; small/q4_0<"));
  EXPECT_THAT(drawn, HasSubstr("cost: –<"));
  EXPECT_THAT(drawn,
              HasSubstr("cost at 400: 0.01610.0131–0.0191<"));  // 120.5 J / 3.6e6 × PUE 1.2 × 400
  EXPECT_THAT(drawn, HasSubstr("cost at 0: 0<"));
  EXPECT_THAT(drawn, HasSubstr("cost again: –<"));
}

TEST_F(PageInABrowser, TellsTheDaysOfALoad) {
  JournalView journal = sample_journal();
  journal.steps[1]["output"]["architecture"] = "Llama 1L";  // made with 50 J
  journal.steps[5] = measure_step("small/q4_0", 60);        // 40 J less for a million tokens
  const std::string drawn = draw(journal, R"js(
    const say = (text) => { const p = document.createElement("p"); p.textContent = text; document.querySelector("main").append(p); };
    const load = [...document.querySelectorAll("input")].find((i) => i.getAttribute("aria-label").startsWith("load"));
    const cells = () => [...load.closest("section").querySelector("tbody tr").cells].map((c) => c.textContent).join(" ");
    say("without: " + cells());
    load.value = "0.5"; load.dispatchEvent(new Event("input")); say("with: " + cells());
  )js");
  EXPECT_THAT(drawn, HasSubstr("without: small/q4_0 50.00 40.0036.00–44.00 1.250 –<"));
  EXPECT_THAT(drawn, HasSubstr("with: small/q4_0 50.00 40.0036.00–44.00 1.250 2.500<"));
}

// Artifact and baseline took turns, which draws inside of a table.
JournalView with_turns() {
  JournalView journal = served_journal(40);
  base::Json rows = base::Json::array();
  for (const char* metric : {"joules_per_request", "decode_tokens_per_second"}) {
    rows.push_back({{"metric", metric},
                    {"batch", 1},
                    {"reference", "gguf/teacher"},
                    {"log_ratios", {-0.9, -0.95, -0.85, -0.92, -0.88, -0.9, -0.91, -0.89}}});
  }
  journal.steps.back()["tables"]["energy_comparison"] = rows;
  return journal;
}

// What a reader meets in a browser: browser_checks.py says what it looks for.
TEST_F(PageInABrowser, IsSoundForEveryReader) {
  for (const JournalView& journal : {with_turns(), sample_journal("")})
    EXPECT_EQ(faults_of(journal), "");
}

// Fifty artifacts on six metrics, with names that are long and points that crowd, thirty layers
// each.
JournalView fifty_candidates() {
  JournalView journal = sample_journal();
  base::Json errors = base::Json::array();
  for (int layer = 0; layer < 30; ++layer) {
    for (const char* matrix : {"q", "k", "v", "o", "gate", "up", "down"})
      errors.push_back(
          {{"layer", layer}, {"matrix", matrix}, {"error_after", 0.001 * (layer + 1)}});
  }
  for (int i = 0; i < 50; ++i) {
    const std::string variant = base::str_cat("iq", i, "_k-group-of-32-symmetric-and-more");
    const std::string artifact = "gguf/" + variant;
    base::Json made = checkpoint_step("small", variant, "quantize", 1e6 + i * 1e4);
    made["tables"] = {{"layer_error", errors}};
    made["warnings"] = {"a warning that all share", "one of " + variant};
    journal.steps.push_back(made);
    journal.steps.push_back(export_of("small/" + variant, "gguf", variant, 1e6 + i * 1e4));
    base::Json quality =
        in_runtime(evaluation_step("", 0.9 + 0.001 * (i % 7), "claimed"), artifact);
    for (const char* metric : {"reasoning/accuracy", "sentiment/coverage", "reasoning/coverage",
                               "kld/mean", "kld/same_top"}) {
      base::Json number = statistic(metric, 0.95);
      number["low"] = 0.93333;
      number["high"] = 0.97777;
      quality["statistics"].push_back(number);
      base::Json row = quality["tables"]["comparison"][0];
      row["metric"] = metric;
      quality["tables"]["comparison"].push_back(row);
    }
    journal.steps.push_back(quality);
    const double joules = 40 + 0.3 * (i % 9);
    journal.steps.push_back(
        with_parts(in_runtime(measure_step("", joules), artifact), joules / 1000));
  }
  return journal;
}

TEST_F(PageInABrowser, HoldsFiftyCandidates) {
  const JournalView journal = fifty_candidates();
  EXPECT_EQ(faults_of(journal), "");
  EXPECT_LT(std::filesystem::file_size(folder_.path() / "report.html"), 1500u * 1000);
  const std::string drawn = draw(journal);
  EXPECT_LT(count(drawn, "</"), 30000u);  // elements
  EXPECT_EQ(count(drawn, "a warning that all share"), 1u);
}

}  // namespace
}  // namespace frugal::report
