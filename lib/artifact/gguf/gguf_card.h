// What a GGUF file says of a model to people and registries: its license, what it was made from,
// languages, tags. It travels in config.json, under "frugal": {"card": {...}} by llama.cpp's keys,
// so that what is made of the model can say it again.
#pragma once

#include "artifact/gguf/gguf_model.h"
#include "artifact/gguf/gguf_values.h"
#include "base/json.h"

namespace frugal::artifact {

// The texts, lists of texts and counts under such keys; an empty object where there are none. What
// has another type or is longer than any such text says nothing and is left out.
base::Json read_gguf_card(const GgufValues& values);

// Puts `card` where the writer of checkpoints keeps it; nothing where it is empty.
void keep_gguf_card(const base::Json& card, architecture::ModelConfig& config);

// Adds how the model was made: general.quantized_by and frugal.quantization.* where it was
// quantized on the way, frugal.version, frugal.steps and frugal.seed; nothing of what is unknown.
void add_making(const Making& making, GgufMetadata& metadata);

// Adds what `config` has kept to `metadata`, keys that are there already excepted.
void add_gguf_card(const architecture::ModelConfig& config, GgufMetadata& metadata);

}  // namespace frugal::artifact
