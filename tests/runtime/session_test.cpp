#include "runtime/session.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "runtime/messages.h"
#include "support/fake_adapter.h"
#include "support/shared_data.h"

namespace frugal::runtime {
namespace {

constexpr int64_t kVocabulary = 5;

std::filesystem::path write_artifact(const std::filesystem::path& path) {
  std::ofstream(path) << kVocabulary;
  return path;
}

absl::StatusOr<Session> open_fake(const std::filesystem::path& artifact) {
  return Session::start("fake", {"python3", "-c", test::kFakeAdapter}, artifact,
                        {.context = 16, .sequences = 2, .threads = 3});
}

absl::StatusOr<Session> fake() {
  static const test::TemporaryFolder folder;
  return open_fake(write_artifact(folder.path() / "m.gguf"));
}

double expected(int64_t id, int64_t target) { return test::fake_log_p(id, target, kVocabulary); }

// A session whose adapter opens well and answers the next request with `answer`, a line that printf
// understands.
absl::StatusOr<Session> answering(const std::string& answer) {
  const std::string opening =
      R"({"ok":true,"bytes":0,"runtime":"fake","version":"1","vocabulary":5,"context":8,"threads":1,"settings":{}})";
  return Session::start(
      "fake",
      {"sh", "-c",
       "read line; echo '" + opening + "'; read line; printf '" + answer + "'; cat > /dev/null"},
      "m", {});
}

const std::vector<Sequence> kOne = {{{1, 2}, {{0, 2}}}};

TEST(Session, SaysWhatItRunsIn) {
  const auto session = fake();
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->info().runtime, "llama.cpp");
  EXPECT_EQ(session->info().vocabulary, 5);
  EXPECT_EQ(session->info().threads, 3);
  EXPECT_EQ(to_json(session->info())["settings"]["context"], 16);
}

// JSON cannot carry such a name: the runtime says what it does not find.
TEST(Session, ANameThatIsNoUtf8IsAFileThatIsNotThere) {
  const test::TemporaryFolder folder;
  const auto session = open_fake(write_artifact(folder.path() / "\xff.gguf"));
  EXPECT_NE(session.status().message().find("FileNotFoundError"), absl::string_view::npos)
      << session.status();
}

TEST(Session, ScoresEveryQueryOfEverySequence) {
  auto session = fake();
  ASSERT_TRUE(session.ok()) << session.status();
  std::vector<Sequence> sequences;
  for (int i = 0; i < 40; ++i) sequences.push_back({{i % 5, 1, 4}, {{0, 1}, {0, 3}, {2, i % 5}}});
  sequences.push_back({{2}, {}});
  const auto scores = session->score(sequences);
  ASSERT_TRUE(scores.ok()) << scores.status();
  ASSERT_EQ(scores->size(), sequences.size());
  for (int i = 0; i < 40; ++i) {
    const auto& row = (*scores)[static_cast<size_t>(i)].log_probabilities;
    ASSERT_EQ(row.size(), 3u);
    EXPECT_NEAR(row[0], expected(i % 5, 1), 1e-12);
    EXPECT_NEAR(row[1], expected(i % 5, 3), 1e-12);
    EXPECT_NEAR(row[2], expected(4, i % 5), 1e-12);
    // Behind id i the next one is the most probable, behind 4 it is 0.
    const std::vector<bool> greedy = {i % 5 == 0, i % 5 == 2, i % 5 == 0};
    EXPECT_EQ((*scores)[static_cast<size_t>(i)].greedy, greedy) << i;
  }
  EXPECT_TRUE(scores->back().log_probabilities.empty());
}

TEST(Session, GivesRowsInParts) {
  auto session = fake();
  ASSERT_TRUE(session.ok()) << session.status();
  const std::vector<TokenId> ids = {3, 0, 2, 1};
  const std::vector<int64_t> positions = {0, 2, 3};
  std::vector<float> all;
  int64_t next = 0;
  const absl::Status status =
      session->rows(ids, positions, [&](int64_t begin, std::span<const float> rows) {
        EXPECT_EQ(begin, next);
        next += static_cast<int64_t>(rows.size()) / 5;
        all.insert(all.end(), rows.begin(), rows.end());
        return absl::OkStatus();
      });
  ASSERT_TRUE(status.ok()) << status;
  const std::vector<float> rows = {0, 0, 0, 0, 2,  // behind 3
                                   0, 0, 0, 2, 0,  // behind 2
                                   0, 0, 2, 0, 0};
  EXPECT_EQ(all, rows);
}

TEST(Session, GeneratesUntilAStopOrTheLimit) {
  auto session = fake();
  ASSERT_TRUE(session.ok()) << session.status();
  const std::vector<std::vector<TokenId>> prompts = {{0}, {4, 2}, {3}};
  const auto texts = session->generate(prompts, {.max_new_tokens = 3, .stop = {4}});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(*texts, (std::vector<std::vector<TokenId>>{{1, 2, 3}, {3}, {}}));
}

// Ids run through 0 to 4; the end is looked for every eight of them.
TEST(Session, GeneratesUntilATextIsAtItsEnd) {
  auto session = fake();
  ASSERT_TRUE(session.ok()) << session.status();
  const auto ends = [](size_t length) {
    return [length](std::span<const TokenId> ids) { return ids.size() >= length; };
  };
  const std::vector<std::vector<TokenId>> prompts = {{0}, {4, 2}};
  auto texts = session->generate(prompts, {.max_new_tokens = 30, .ends = ends(9)});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(*texts,
            (std::vector<std::vector<TokenId>>{{1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1},
                                               {3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3}}));
  texts = session->generate(prompts, {.max_new_tokens = 11, .ends = ends(99)});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(texts->front().size(), 11u);
  texts = session->generate(prompts, {.max_new_tokens = 30, .stop = {0}, .ends = ends(99)});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(*texts, (std::vector<std::vector<TokenId>>{{1, 2, 3, 4}, {3, 4}}));
}

TEST(Session, TimesPrefillAndDecodeApart) {
  auto session = fake();
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_FALSE(session->decode(3).ok());  // of no prompt
  const std::vector<TokenId> ids = {1, 2, 3, 4};
  const auto prefill = session->prefill(2, ids);
  ASSERT_TRUE(prefill.ok()) << prefill.status();
  EXPECT_EQ(*prefill, 0.25);
  const auto steps = session->decode(3);
  ASSERT_TRUE(steps.ok()) << steps.status();
  EXPECT_EQ(*steps, (std::vector<double>{0.5, 0.5, 0.5}));
  EXPECT_FALSE(session->prefill(3, ids).ok());
  EXPECT_GT(session->cpu_seconds(), 0.0);
  EXPECT_GT(session->peak_resident_bytes().value_or(0), 1 << 20);
}

TEST(Session, RefusesIdsOutsideTheVocabularyBeforeAskingForThem) {
  auto session = fake();
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_NE(session->score(std::vector<Sequence>{{{1, 5}, {}}})
                .status()
                .message()
                .find("id 5 is outside"),
            absl::string_view::npos);
  EXPECT_FALSE(session->score(std::vector<Sequence>{{{1}, {{1, 0}}}}).ok());
  EXPECT_FALSE(session->score(std::vector<Sequence>{{{}, {}}}).ok());
  EXPECT_TRUE(session->score(kOne).ok());  // and is of use afterwards
}

std::string error_of(const std::string& answer) {
  auto session = answering(answer);
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? std::string(session->score(kOne).status().message()) : "";
}

TEST(Session, AnAnswerOfAnotherSizeIsRefused) {
  EXPECT_EQ(error_of(R"({"ok":true,"bytes":800000000000}\n)"),
            "fake: its adapter announces 800000000000 bytes where 9 were expected");
  EXPECT_EQ(error_of(R"({"ok":true,"bytes":-8}\n)"),
            "fake: its adapter announces -8 bytes where 9 were expected");
}

TEST(Session, AnAnswerThatIsNoMessageIsRefused) {
  EXPECT_NE(error_of("hello\\n").find("an answer of its adapter"), std::string::npos);
  EXPECT_NE(error_of("[1]\\n").find("is no object"), std::string::npos);
  EXPECT_NE(error_of(R"({"ok":true}\n)").find("bytes"), std::string::npos);
}

TEST(Session, ARefusalIsToldInItsWords) {
  EXPECT_EQ(error_of(R"({"ok":false,"bytes":0,"error":"no such file"}\n)"), "fake: no such file");
}

TEST(Session, ANumberThatIsNoLogProbabilityIsRefused) {
  // NaN, and 1.0.
  EXPECT_NE(error_of(R"({"ok":true,"bytes":9}\n\000\000\000\000\000\000\370\177\000)")
                .find("no finite number"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"ok":true,"bytes":9}\n\000\000\000\000\000\000\360\077\000)")
                .find("no finite number"),
            std::string::npos);
}

TEST(Session, ACrashIsToldWithItsLastWords) {
  const auto session = Session::start(
      "fake", {"sh", "-c", "read line; echo 'no memory for it' >&2; exit 9"}, "m", {});
  const std::string message(session.status().message());
  EXPECT_NE(message.find("ended with exit code 9"), std::string::npos) << message;
  EXPECT_NE(message.find("no memory for it"), std::string::npos) << message;
}

TEST(Session, MoreRowsThanAskedForAreRefused) {
  auto session = answering(R"({"ok":true,"rows":4,"bytes":80}\n)");
  ASSERT_TRUE(session.ok()) << session.status();
  const absl::Status status =
      session->rows(std::vector<TokenId>{1, 2}, std::vector<int64_t>{0, 1},
                    [](int64_t, std::span<const float>) { return absl::OkStatus(); });
  EXPECT_EQ(status.message(), "fake: its adapter sends 4 rows where 2 are missing");
}

TEST(Session, TextsLongerThanAskedForAreRefused) {
  auto session = answering(R"({"ok":true,"lengths":[4000000000],"bytes":16000000000}\n)");
  ASSERT_TRUE(session.ok()) << session.status();
  const auto texts =
      session->generate(std::vector<std::vector<TokenId>>{{1}}, {.max_new_tokens = 4});
  EXPECT_NE(texts.status().message().find("answers 1 prompts with lengths"),
            absl::string_view::npos);
}

TEST(Session, ThreadsAreThoseOfTheEnvironment) {
  ::setenv("OMP_NUM_THREADS", "7", 1);
  EXPECT_EQ(default_threads(), 7);
  ::unsetenv("OMP_NUM_THREADS");
  EXPECT_GE(default_threads(), 1);
}

}  // namespace
}  // namespace frugal::runtime
