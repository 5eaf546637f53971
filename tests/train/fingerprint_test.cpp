#include "train/fingerprint.h"

#include <functional>
#include <set>

#include "train/toy.h"

namespace frugal::train {
namespace {

std::string of(const TrainOptions& options, const model::Decoder* teacher = nullptr,
               std::string_view data_hash = "data", Precision precision = Precision::kFp32,
               int64_t steps = 7) {
  const model::Decoder student = model::toy::decoder();
  return fingerprint(student, teacher, data_hash, options, precision, steps);
}

TEST(Fingerprint, IsOfEverythingThatTheBitsDependOn) {
  const std::vector<std::function<void(TrainOptions&)>> changes = {
      [](TrainOptions& o) { ++o.batch_sequences; },
      [](TrainOptions& o) { ++o.accumulation; },
      [](TrainOptions& o) { o.learning_rate *= 2; },
      [](TrainOptions& o) { ++o.warmup_steps; },
      [](TrainOptions& o) { o.schedule = Schedule::kLinear; },
      [](TrainOptions& o) { o.final_rate_share = 0.5; },
      [](TrainOptions& o) { o.weight_decay = 0.5; },
      [](TrainOptions& o) { o.beta1 = 0.5; },
      [](TrainOptions& o) { o.beta2 = 0.5; },
      [](TrainOptions& o) { o.epsilon = 0.5; },
      [](TrainOptions& o) { o.clip = 0.5; },
      [](TrainOptions& o) { o.distillation_weight = 0.5; },
      [](TrainOptions& o) { o.temperature = 0.5; },
      [](TrainOptions& o) { o.chunk_tokens = 5; },
      [](TrainOptions& o) { o.validate_every = 5; },
      [](TrainOptions& o) { o.keep_best = true; },
      [](TrainOptions& o) { o.record_every = 5; },
      [](TrainOptions& o) { o.seed = 5; },
  };
  std::set<std::string> found = {of({})};
  for (size_t i = 0; i < changes.size(); ++i) {
    TrainOptions options;
    changes[i](options);
    EXPECT_TRUE(found.insert(of(options)).second) << "change " << i;
  }
  const model::Decoder teacher = model::toy::decoder(base::Json::object(), 5);
  EXPECT_TRUE(found.insert(of({}, &teacher)).second);
  EXPECT_TRUE(found.insert(of({}, nullptr, "other data")).second);
  EXPECT_TRUE(found.insert(of({}, nullptr, "data", Precision::kBf16)).second);
  EXPECT_TRUE(found.insert(of({}, nullptr, "data", Precision::kFp32, 8)).second);
}

TEST(Fingerprint, IsOfNothingElse) {
  TrainOptions often;
  often.checkpoint_every = 3;  // how often a run is saved does not change where it leads
  EXPECT_EQ(of(often), of({}));
}

}  // namespace
}  // namespace frugal::train
