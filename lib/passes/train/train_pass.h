// train: a tokenizer and a decoder from scratch.
#pragma once

#include <memory>

#include "pass/pass.h"

namespace frugal::passes {

std::unique_ptr<pass::Pass> make_train_pass();

}  // namespace frugal::passes
