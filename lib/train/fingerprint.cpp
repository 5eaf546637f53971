#include "train/fingerprint.h"

#include "base/hash.h"
#include "base/json.h"

namespace frugal::train {

std::string fingerprint(const ParameterView& student, const model::Decoder* teacher,
                        std::string_view data_hash, const TrainOptions& o, Precision precision,
                        int64_t steps) {
  const base::Json options = {steps,
                              o.batch_sequences,
                              o.accumulation,
                              o.learning_rate,
                              o.warmup_steps,
                              static_cast<int>(o.schedule),
                              o.final_rate_share,
                              o.weight_decay,
                              o.beta1,
                              o.beta2,
                              o.epsilon,
                              o.clip,
                              static_cast<int>(precision),
                              o.distillation_weight,
                              o.temperature,
                              o.chunk_tokens,
                              o.validate_every,
                              o.keep_best,
                              o.record_every,
                              o.seed};
  base::KeyHasher hasher;
  hasher.add(options.dump()).add(architecture::to_json(student.base().config()).dump());
  hasher.add(teacher != nullptr ? architecture::to_json(teacher->config()).dump() : "");
  hasher.add(data_hash);
  if (const std::string selection = student.selection(); !selection.empty()) hasher.add(selection);
  return hasher.hex();
}

}  // namespace frugal::train
