// The resume file of a training run: weights, optimizer moments and the record so far, in one
// safetensors file.
//
//   weight/<name>, first/<name>, second/<name>   F32, as in the model
//   best/<name>                                   F32, only where the best weights are kept
//   __metadata__: {"frugal.train": JSON record with "fingerprint" and "step"}
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/status.h"
#include "train/optimizer.h"
#include "train/parameter_view.h"

namespace frugal::train {

struct TrainState {
  TensorMap weights;  // what is trained, shared with the model
  AdamW* optimizer = nullptr;
  TensorMap best;     // empty: none kept
  base::Json record;  // "step" and what the trainer wants back
};

// Replaces the file at `path` atomically. Errors: the disk's.
absl::Status save_state(const std::filesystem::path& path, const TrainState& state,
                        std::string_view fingerprint);

// Copies weights, moments and best weights of the file into `state` and hands out its record;
// nullopt where there is no file. Errors: a file of another run (fingerprint differs), damaged or
// unfitting tensors; then `state` is as it was.
absl::StatusOr<std::optional<base::Json>> load_state(const std::filesystem::path& path,
                                                     TrainState& state,
                                                     std::string_view fingerprint);

}  // namespace frugal::train
