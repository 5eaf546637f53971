// frugal_logits CHECKPOINT OUT.f32 ID...            fp32 logits [T, V] of one sequence, raw
// little-endian frugal_logits --greedy N CHECKPOINT ID...         N greedy ids, one line
#include <ATen/core/grad_mode.h>

#include <charconv>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"
#include "format/checkpoint.h"
#include "model/decoder.h"
#include "model/generate.h"
#include "tensor/aten.h"
#include "tensor/guard.h"

namespace {

using frugal::text::TokenId;

std::vector<TokenId> parse_ids(char** begin, char** end) {
  std::vector<TokenId> ids;
  for (char** argument = begin; argument != end; ++argument) ids.push_back(std::stoi(*argument));
  return ids;
}

absl::Status write_logits(const frugal::model::Decoder& decoder, const std::vector<TokenId>& ids,
                          const char* path) {
  return frugal::tensor::guarded("logits", [&]() -> absl::Status {
    at::NoGradGuard no_grad;
    const at::Tensor input = at::tensor(std::vector<int64_t>(ids.begin(), ids.end())).unsqueeze(0);
    const at::Tensor logits = decoder.logits({.ids = input}).contiguous();
    return frugal::base::write_file_atomically(
        path,
        {static_cast<const char*>(logits.const_data_ptr()), static_cast<size_t>(logits.nbytes())});
  });
}

absl::Status run(int argc, char** argv) {
  if (argc < 4) return absl::InvalidArgumentError("usage: see the head of logits_tool.cpp");
  const bool greedy = std::string(argv[1]) == "--greedy";
  FRUGAL_ASSIGN_OR_RETURN(const auto checkpoint,
                          frugal::format::Checkpoint::open(argv[greedy ? 3 : 1]));
  FRUGAL_ASSIGN_OR_RETURN(const auto decoder, frugal::model::Decoder::load(checkpoint, {}));
  if (!greedy) return write_logits(decoder, parse_ids(argv + 3, argv + argc), argv[2]);
  frugal::model::GenerateOptions options;
  options.max_new_tokens = std::stoi(argv[2]);
  options.ignore_stop = true;
  FRUGAL_ASSIGN_OR_RETURN(
      const auto ids, frugal::model::generate(decoder, {parse_ids(argv + 4, argv + argc)}, options,
                                              frugal::base::RandomStream(1, "greedy")));
  for (const TokenId id : ids[0]) std::printf("%d ", id);
  std::printf("\n");
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  const absl::Status status = run(argc, argv);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
