// Cards against one that was read by a person (golden/), and against the report they belong to.
#include "report/card.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "pass/model_card.h"
#include "report/card_run.h"
#include "report/findings.h"
#include "report/models.h"
#include "sample_journal.h"
#include "support/shared_data.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using base::Json;

// What the export pass says of `small/q4_0` as a file and a folder.
Json export_step() {
  Json step = checkpoint_step("file", "q4_0", "export", 0);
  step["from"] = {"small/q4_0"};
  step["options"] = {{"format", {"gguf", "onnx"}}, {"card", true}};
  const std::string hash(64, 'b');
  step["tables"] = {
      {"artifacts",
       {{{"format", "gguf"}, {"name", "small-q4_0.gguf"}, {"weight_files", 1}},
        {{"format", "onnx"}, {"name", "small-q4_0-onnx"}, {"weight_files", 1}}}},
      {"parts",
       {{{"format", "gguf"},
         {"part", "embedding"},
         {"type", "q8_0"},
         {"weights", 1000},
         {"bytes", 1062}},
        {{"format", "gguf"},
         {"part", "attention"},
         {"type", "q4_0"},
         {"weights", 64000},
         {"bytes", 36000}},
        {{"format", "onnx"},
         {"part", "rotary tables"},
         {"type", "F32"},
         {"weights", 0},
         {"bytes", 512}}}},
      {"files",
       {{{"path", "small-q4_0-onnx/model.onnx"},
         {"bytes", 900},
         {"sha256", hash},
         {"kind", ".onnx"}},
        {{"path", "small-q4_0.gguf"}, {"bytes", 40000}, {"sha256", hash}, {"kind", ".gguf"}}}},
      {"card",
       {{{"base_model", "maker/teacher"},
         {"license", "apache-2.0"},
         {"languages", {"en", "no"}},
         {"tags", {"reviews"}}}}}};
  step["output"] = {{"kind", "artifact"},
                    {"path", "artifacts/small-q4_0-onnx"},
                    {"artifacts", {"artifacts/small-q4_0-onnx", "artifacts/small-q4_0.gguf"}}};
  return step;
}

JournalView journal_with(Json step) {
  JournalView journal = sample_journal();
  journal.steps.push_back(std::move(step));
  return journal;
}

std::vector<Card> cards_of(const JournalView& journal) {
  return model_cards(journal, summarize(journal).value());
}

const std::string& text_of(const std::vector<Card>& cards, std::string_view path) {
  static const std::string kNone;
  const auto found =
      std::find_if(cards.begin(), cards.end(), [&](const Card& card) { return card.path == path; });
  return found == cards.end() ? kNone : found->text;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Card, IsTheOneThatWasRead) {
  const auto cards = cards_of(journal_with(export_step()));
  ASSERT_EQ(cards.size(), 2u);
  const std::string& found = text_of(cards, "artifacts/small-q4_0.md");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string golden,
                              base::read_file(fs::path(GOLDEN_FOLDER) / "small-q4_0.md"));
  EXPECT_EQ(found, golden);
  EXPECT_FALSE(text_of(cards, "artifacts/small-q4_0-onnx.md").empty());
}

TEST(Card, NumbersAreThoseOfThePage) {
  const JournalView journal = journal_with(export_step());
  const Json report = summarize(journal).value();
  const std::string text = text_of(model_cards(journal, report), "artifacts/small-q4_0.md");
  const Json* model = find_model(report["models"], "small/q4_0");
  ASSERT_NE(model, nullptr);
  int64_t shown = 0;
  for (const Json& column : report["columns"]) {
    const std::string key = column["key"];
    const Json* number = find_number(*model, key);
    if (number == nullptr || key == "weight_bytes") continue;
    ++shown;
    EXPECT_TRUE(has(text, base::str_cat("| ", column["title"].get<std::string>(), " | ",
                                        in_words((*number)["value"].get<double>(),
                                                 column["unit"].get<std::string>()))))
        << key;
  }
  EXPECT_EQ(shown, 2);
}

TEST(Card, SaysWhatIsNotKnown) {
  Json step = export_step();
  step["tables"].erase("card");
  step["energy"] = nullptr;
  step["energy_reason"] = "no counter can be read here";
  JournalView journal = sample_journal();
  // Nothing looked at the model.
  std::erase_if(journal.steps, [](const Json& each) { return each["output"].is_null(); });
  journal.steps.push_back(step);
  const std::string text = text_of(cards_of(journal), "artifacts/small-q4_0.md");
  EXPECT_TRUE(has(text, "- Base model: not known\n"));
  EXPECT_TRUE(has(text, "- License: not known to frugal"));
  EXPECT_TRUE(has(text, "Not measured: no evaluation of this model was part of the run."));
  EXPECT_TRUE(has(text, "not known: no counter can be read here"));
  EXPECT_TRUE(has(text, "Energy of running it: not measured in this run."));
  EXPECT_FALSE(has(text, "base_model:"));
  EXPECT_FALSE(has(text, "license:"));
  EXPECT_FALSE(has(text, " 0 J"));
}

// Energy of running is of an architecture, and never told as a gain of a grid.
TEST(Card, RunningEnergyIsOfTheArchitecture) {
  const std::string text =
      text_of(cards_of(journal_with(export_step())), "artifacts/small-q4_0.md");
  EXPECT_TRUE(has(text, "frugal's own forward in fp32"));
  EXPECT_TRUE(has(text, "depends on the architecture and not on the grid"));
}

// Files that a runtime served have its numbers, and none of our forward's joules.
TEST(Card, TellsWhatItsRuntimeMeasured) {
  JournalView journal = journal_with(export_step());
  journal.steps.push_back(in_runtime(evaluation_step("", 0.93, ""), "file/q4_0"));
  journal.steps.push_back(in_runtime(measure_step("", 40), "file/q4_0"));
  const std::string text = text_of(cards_of(journal), "artifacts/small-q4_0.md");
  EXPECT_TRUE(has(text, "Measured on these files in llama.cpp (xllamacpp 1.0):"));
  EXPECT_TRUE(has(text, "| sentiment accuracy | 93.0% |"));
  EXPECT_TRUE(
      has(text, "Energy of a response in llama.cpp (xllamacpp 1.0): 0.04 J, measured; 40 J"));
  EXPECT_FALSE(has(text, "Energy of running its architecture"));
}

TEST(Card, OfAnExportThatWantsNoneThereIsNone) {
  Json step = export_step();
  step["options"]["card"] = false;
  EXPECT_TRUE(cards_of(journal_with(step)).empty());
  step["options"].erase("card");  // of a version that knew none
  EXPECT_TRUE(cards_of(journal_with(step)).empty());
  EXPECT_TRUE(cards_of(sample_journal()).empty());
}

TEST(Card, PartsAreNamedByTheirFirst) {
  Json step = export_step();
  step["tables"]["files"] = {
      {{"path", "small-q4_0-00001-of-00002.gguf"}, {"bytes", 9}, {"sha256", "a"}},
      {{"path", "small-q4_0-00002-of-00002.gguf"}, {"bytes", 9}, {"sha256", "b"}}};
  step["output"]["artifacts"] = {"artifacts/file-small-q4_0-00001-of-00002.gguf",
                                 "artifacts/file-small-q4_0-00002-of-00002.gguf"};
  const auto cards = cards_of(journal_with(step));
  ASSERT_EQ(cards.size(), 1u);
  EXPECT_EQ(cards[0].path, "artifacts/file-small-q4_0.md");
  EXPECT_TRUE(has(cards[0].text, "llama-cli -m ./small-q4_0-00001-of-00002.gguf -p"));
}

TEST(Card, NamesFromOutsideStayNames) {
  Json step = export_step();
  const std::string name = "x`$(reboot)`|\n# <script>";
  step["tables"]["artifacts"] = {{{"format", "gguf"}, {"name", name + ".gguf"}}};
  step["tables"]["files"] = {{{"path", name + ".gguf"}, {"bytes", 9}, {"sha256", "a"}}};
  step["tables"]["card"] = {
      {{"license", "mit\n---\nevil: true"}, {"base_model", 3}, {"tags", "text"}}};
  step["output"]["artifacts"] = {"artifacts/" + name + ".gguf"};
  const auto cards = cards_of(journal_with(step));
  ASSERT_EQ(cards.size(), 1u);
  const std::string& text = cards[0].text;
  EXPECT_TRUE(has(text, "license: \"mit\\n---\\nevil: true\"\n"));
  EXPECT_FALSE(has(text, "\nevil"));
  EXPECT_FALSE(has(text, "\n# <script>"));
  EXPECT_TRUE(has(text, "llama-cli -m './x`$(reboot)`| # <script>.gguf' -p"));
}

TEST(Card, EachFormatSaysHowItIsRun) {
  for (const auto& [format, word] :
       {std::pair{"gguf", "llama-server"}, std::pair{"onnx", "onnxruntime_genai"},
        std::pair{"compressed_tensors", "vllm serve"}, std::pair{"gptq", "gptqmodel"},
        std::pair{"huggingface", "from transformers"}}) {
    const Running running = running_of(format, "a model");
    EXPECT_TRUE(has(running.commands, word)) << format;
    EXPECT_TRUE(has(running.commands, "/a model")) << format;
    EXPECT_FALSE(running.library.empty());
  }
}

TEST(WriteCards, ReplacesItsOwnAndLeavesThoseOfOthers) {
  const test::TemporaryFolder folder;
  const JournalView journal = journal_with(export_step());
  const Json report = summarize(journal).value();
  const fs::path file = folder.path() / "artifacts" / "small-q4_0.md";
  FRUGAL_ASSERT_OK(write_cards(folder.path(), journal, report));
  const std::string text = base::read_file(file).value();
  EXPECT_TRUE(pass::is_own_card(file));
  FRUGAL_ASSERT_OK(base::write_file_atomically(file, text + "old"));
  FRUGAL_ASSERT_OK(write_cards(folder.path(), journal, report));
  EXPECT_EQ(base::read_file(file).value(), text);
  FRUGAL_ASSERT_OK(base::write_file_atomically(file, "mine"));
  FRUGAL_ASSERT_OK(write_cards(folder.path(), journal, report));
  EXPECT_EQ(base::read_file(file).value(), "mine");
  // Nothing half-written is left beside them.
  for (const auto& entry : fs::directory_iterator(folder.path() / "artifacts"))
    EXPECT_EQ(entry.path().extension(), ".md");
}

TEST(WriteCards, StayInsideTheRunFolder) {
  const test::TemporaryFolder folder;
  Json step = export_step();
  step["output"]["artifacts"] = {"../small-q4_0.gguf"};
  const JournalView journal = journal_with(step);
  EXPECT_FALSE(write_cards(folder.path() / "run", journal, summarize(journal).value()).ok());
  EXPECT_FALSE(fs::exists(folder.path() / "small-q4_0.md"));
}

}  // namespace
}  // namespace frugal::report
