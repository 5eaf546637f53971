#include "runtime/session.h"

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "runtime/messages.h"
#include "support/shared_data.h"

namespace frugal::runtime {
namespace {

// An adapter without any runtime behind it, in plain Python: logits of position t are -|v - (ids[t]
// + 1)| for each id v of 5.
constexpr const char* kFake = R"(
import json, math, os, struct, sys
V = 5
source, target = sys.stdin.buffer, sys.stdout.buffer
def answer(message, payload=b""):
    target.write(json.dumps({"ok": True, **message, "bytes": len(payload)}).encode() + b"\n" + payload)
    target.flush()
def logits(ident): return [-abs(v - (ident + 1)) for v in range(V)]
def log_p(ident, v):
    row = logits(ident)
    return row[v] - math.log(sum(map(math.exp, row)))
while line := source.readline():
    request = json.loads(line)
    numbers = list(struct.unpack(f"<{request['bytes'] // 4}i", source.read(request["bytes"])))
    if request["op"] == "open":
        answer({"runtime": "fake", "version": "fake 1", "vocabulary": V, "context": 64, "threads": request["threads"],
                "settings": {"path": request["path"], "sequences": request["sequences"]}})
    elif request["op"] == "score":
        ids = [numbers.pop(0) for _ in range(sum(request["lengths"]))]
        positions, targets = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
        out, at = [], 0
        for length, count in zip(request["lengths"], request["queries"]):
            for _ in range(count):
                out.append(log_p(ids[at + positions.pop(0)], targets.pop(0)))
            at += length
        answer({}, struct.pack(f"<{len(out)}d", *out))
    elif request["op"] == "rows":
        for p in numbers[request["length"] :]:
            answer({"rows": 1}, struct.pack(f"<{V}f", *logits(numbers[p])))
    elif request["op"] == "generate":
        out, at = [], 0
        for length in request["lengths"]:
            last, made = numbers[at + length - 1], []
            while len(made) < request["max_new_tokens"] and (last + 1) % V not in request["stop"]:
                last = (last + 1) % V
                made.append(last)
            out.append(made)
            at += length
        flat = sum(out, [])
        answer({"lengths": [len(made) for made in out]}, struct.pack(f"<{len(flat)}i", *flat))
    elif request["op"] == "prefill":
        answer({"seconds": 0.25})
    elif request["op"] == "decode":
        answer({}, struct.pack(f"<{request['steps']}d", *([0.5] * request["steps"])))
)";

absl::StatusOr<Session> fake(const SessionOptions& options = {
                                 .context = 16, .sequences = 2, .threads = 3}) {
  return Session::start("fake", {"python3", "-c", kFake}, "/models/m.gguf", options);
}

double expected(int id, int target) {
  double sum = 0.0;
  for (int v = 0; v < 5; ++v) sum += std::exp(-std::abs(v - (id + 1)));
  return -std::abs(target - (id + 1)) - std::log(sum);
}

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
  EXPECT_EQ(session->info().runtime, "fake");
  EXPECT_EQ(session->info().vocabulary, 5);
  EXPECT_EQ(session->info().threads, 3);
  EXPECT_EQ(to_json(session->info())["settings"]["path"], "/models/m.gguf");
}

TEST(Session, AFileMayHaveANameThatIsNoUtf8) {
  const auto session = Session::start("fake", {"python3", "-c", kFake}, "/models/\xff.gguf", {});
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->info().settings["path"], "/models/\xef\xbf\xbd.gguf");
}

TEST(Session, ScoresEveryQueryOfEverySequence) {
  auto session = fake();
  ASSERT_TRUE(session.ok()) << session.status();
  std::vector<Sequence> sequences;
  for (int i = 0; i < 40; ++i)  // more than go at once
    sequences.push_back({{i % 5, 1, 4}, {{0, 1}, {0, 3}, {2, i % 5}}});
  sequences.push_back({{2}, {}});
  const auto scores = session->score(sequences);
  ASSERT_TRUE(scores.ok()) << scores.status();
  ASSERT_EQ(scores->size(), sequences.size());
  for (int i = 0; i < 40; ++i) {
    const auto& row = (*scores)[static_cast<size_t>(i)];
    ASSERT_EQ(row.size(), 3u);
    EXPECT_NEAR(row[0], expected(i % 5, 1), 1e-12);
    EXPECT_NEAR(row[1], expected(i % 5, 3), 1e-12);
    EXPECT_NEAR(row[2], expected(4, i % 5), 1e-12);
  }
  EXPECT_TRUE(scores->back().empty());
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
  ASSERT_EQ(all.size(), 15u);
  EXPECT_EQ(all[0], -4.0f);  // behind id 3, of id 0
  EXPECT_EQ(all[5 + 3], 0.0f);
  EXPECT_EQ(all[10 + 2], 0.0f);
}

TEST(Session, GeneratesUntilAStopOrTheLimit) {
  auto session = fake();
  ASSERT_TRUE(session.ok()) << session.status();
  const std::vector<std::vector<TokenId>> prompts = {{0}, {4, 2}, {3}};
  const auto texts = session->generate(prompts, {.max_new_tokens = 3, .stop = {4}});
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(*texts, (std::vector<std::vector<TokenId>>{{1, 2, 3}, {3}, {}}));
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
            "fake: its adapter announces 800000000000 bytes where 8 were expected");
  EXPECT_EQ(error_of(R"({"ok":true,"bytes":-8}\n)"),
            "fake: its adapter announces -8 bytes where 8 were expected");
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
  EXPECT_NE(error_of(R"({"ok":true,"bytes":8}\n\000\000\000\000\000\000\370\177)")
                .find("no finite number"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"ok":true,"bytes":8}\n\000\000\000\000\000\000\360\077)")
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
