// Tested by: tests/passes/quantize_test.cpp
#include "passes/quantize/quantize_pass.h"

#include "passes/quantize/check.h"
#include "passes/quantize/options.h"
#include "passes/quantize/run.h"

namespace frugal::passes {
namespace {

class QuantizePass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{.name = "quantize",
                                     .version = 6,
                                     .summary =
                                         "Puts the decoder's matrices on a number grid (GGUF "
                                         "types, int4, int8), rounded to nearest or by GPTQ "
                                         "with activation-weighted scales."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visit_quantize_options(visitor, options_);
  }

  std::vector<ImpliedData> implied_data() const override {
    const pass::DataReference taken = resolve(options_).calibration;
    if (taken == options_.given.calibration) return {};
    return {{"calibration", pass::kSelfData}};
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override {
    return check_quantization(resolve(options_), context, model);
  }

  absl::Status run(pass::RunContext& context) const override {
    return run_quantization(context, resolve(options_), info().version);
  }

 private:
  QuantizeOptions options_;
};

}  // namespace

std::unique_ptr<pass::Pass> make_quantize_pass() { return std::make_unique<QuantizePass>(); }

}  // namespace frugal::passes
