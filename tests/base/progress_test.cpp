#include "base/progress.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>
#include <vector>

#include "base/progress_gauge.h"

namespace frugal::base {
namespace {

TEST(Progress, EstimatesTheTimeLeft) {
  EXPECT_EQ(seconds_left(25, 100, 10), 30);
  EXPECT_EQ(seconds_left(100, 100, 10), 0);
  EXPECT_EQ(seconds_left(120, 100, 10), 0);
  EXPECT_LT(seconds_left(0, 100, 10), 0);
  EXPECT_LT(seconds_left(5, 0, 10), 0);
  EXPECT_LT(seconds_left(5, 10, std::nan("")), 0);
}

TEST(Progress, SaysShareRateAndTimeLeft) {
  EXPECT_EQ(progress_text("quantize", "layers", 12, 128, 15, "loss 2.31"),
            "quantize: 12/128 layers  9%  0.8 layers/s  2 min 25 s left  loss 2.31");
  EXPECT_EQ(progress_text("train", "tokens", 1500000, 0, 10, ""),
            "train: 1,500,000 tokens  150,000 tokens/s");
  EXPECT_EQ(progress_text("train", "steps", 0, 10, 3, ""), "train: 0/10 steps  0%");
  EXPECT_EQ(progress_text("train", "steps", 10, 10, 5, ""), "train: 10/10 steps  100%  2 steps/s");
  // All but done is not done.
  EXPECT_NE(progress_text("t", "items", 999999, 1000000, 1, "").find("  99%"), std::string::npos);
}

TEST(Progress, SilentAndPlainKeepCalm) {
  for (const ProgressStyle style : {ProgressStyle::kSilent, ProgressStyle::kPlain}) {
    testing::internal::CaptureStderr();
    set_progress_style(style);
    {
      Progress progress("t", "items", 1000);
      for (int i = 0; i < 1000; ++i) progress.advance();
    }
    set_progress_style(ProgressStyle::kAutomatic);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");  // plain lines come about every 10 s
  }
}

TEST(Progress, TerminalShowsTheInnermostAndTheEnd) {
  testing::internal::CaptureStderr();
  set_progress_style(ProgressStyle::kTerminal);
  {
    Progress outer("outer", "steps", 2);
    {
      Progress inner("inner", "items", 3);
      outer.advance();  // hidden behind the inner one
      inner.note("half");
      inner.advance(3);
    }
    outer.advance();
  }
  set_progress_style(ProgressStyle::kAutomatic);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("outer: 0/2 steps"), std::string::npos);
  EXPECT_EQ(text.find("outer: 1/2"), std::string::npos);
  EXPECT_NE(text.find("inner: 3/3 items  100%"), std::string::npos);
  EXPECT_NE(text.find("outer: 2/2"), std::string::npos);
  EXPECT_EQ(text.substr(text.size() - 4), "\r\x1b[K");
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST(Progress, AGaugeIsAskedWhenALineIsDrawn) {
  int asked = 0;
  set_progress_gauge([&asked] {
    ++asked;
    return std::string("34 W");
  });
  testing::internal::CaptureStderr();
  set_progress_style(ProgressStyle::kTerminal);
  {
    Progress progress("t", "items", 1000);
    for (int i = 0; i < 999; ++i) progress.advance();
    progress.note("loss 2.31");
    progress.advance();
  }
  const int drawn = asked;
  set_progress_gauge(nullptr);
  {
    const Progress progress("t", "items", 10);
  }
  set_progress_style(ProgressStyle::kAutomatic);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("1,000/1,000 items"), std::string::npos);
  EXPECT_NE(text.find("  34 W  loss 2.31"), std::string::npos);
  EXPECT_NE(text.find("  0%  34 W"), std::string::npos);
  EXPECT_LE(drawn, 1000);
  EXPECT_EQ(asked, drawn);
}

TEST(Progress, IsSafeFromManyThreads) {
  set_progress_style(ProgressStyle::kTerminal);
  testing::internal::CaptureStderr();
  {
    Progress progress("t", "items", 4000);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) {
          progress.advance();
          progress.note("äöü");
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_GE(progress.elapsed_seconds(), 0);
  }
  set_progress_style(ProgressStyle::kAutomatic);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("4,000/4,000"), std::string::npos);
}

}  // namespace
}  // namespace frugal::base
