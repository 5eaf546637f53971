// Every family, one file each; family.cpp lists them.
#pragma once

#include "architecture/family.h"

namespace frugal::architecture {

extern const Family kGpt2;
extern const Family kLlama;
extern const Family kMistral;
extern const Family kQwen2;
extern const Family kQwen3;
extern const Family kGemma2;
extern const Family kGemma3;
extern const Family kGranite;
extern const Family kMixtral;
extern const Family kOlmo2;
extern const Family kOlmoe;
extern const Family kQwen3Moe;
extern const Family kSmolLM3;
extern const Family kPhi3;

}  // namespace frugal::architecture
