#include "format/gguf_check.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/shared_data.h"

namespace frugal::format {
namespace {

TEST(GgufCheck, TypesAreThoseOfGgml) {
  // Block sizes: gguf 0.19.0's GGML_QUANT_SIZES.
  struct Case {
    const char* name;
    uint32_t id;
    int64_t elements, bytes;
  };
  for (const Case& c : std::vector<Case>{{"F32", 0, 1, 4},
                                         {"F16", 1, 1, 2},
                                         {"Q4_0", 2, 32, 18},
                                         {"Q8_0", 8, 32, 34},
                                         {"Q4_K", 12, 256, 144},
                                         {"Q6_K", 14, 256, 210},
                                         {"IQ4_NL", 20, 32, 18},
                                         {"BF16", 30, 1, 2}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const GgmlType by_name, ggml_type(std::string_view(c.name)));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const GgmlType by_id, ggml_type(c.id));
    for (const GgmlType& type : {by_name, by_id}) {
      EXPECT_EQ(type.id, c.id);
      EXPECT_EQ(type.name, c.name);
      EXPECT_EQ(type.block_elements, c.elements);
      EXPECT_EQ(type.block_bytes, c.bytes);
    }
  }
  FRUGAL_EXPECT_ERROR(ggml_type(std::string_view("Q4_L")), absl::StatusCode::kInvalidArgument,
                      "did you mean");
  FRUGAL_EXPECT_ERROR(ggml_type(4u), absl::StatusCode::kInvalidArgument, "tensor type 4");
}

TEST(GgufCheck, SizesAreCheckedBeforeTheyAreUsed) {
  const GgmlType q4_k = ggml_type(std::string_view("Q4_K")).value();
  EXPECT_EQ(gguf_size_bytes(q4_k, {3, 512}).value(), 3 * 2 * 144);
  EXPECT_EQ(gguf_size_bytes(q4_k, {0, 256}).value(), 0);
  const auto invalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(gguf_size_bytes(q4_k, {3, 500}), invalid,
                      "no multiple of the block of 256 of Q4_K");
  FRUGAL_EXPECT_ERROR(gguf_size_bytes(q4_k, {-1, 256}), invalid, "negative");
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  FRUGAL_EXPECT_ERROR(gguf_size_bytes(q4_k, {kMax, 256}), invalid, "too many elements");
  FRUGAL_EXPECT_ERROR(gguf_size_bytes(ggml_type(0u).value(), {kMax / 2}), invalid,
                      "too many elements");
}

TEST(GgufCheck, AlignmentIsAPowerOfTwoInU32) {
  EXPECT_EQ(gguf_alignment({}).value(), 32);
  EXPECT_EQ(gguf_alignment({{"general.alignment", uint32_t{64}}}).value(), 64);
  FRUGAL_EXPECT_ERROR(gguf_alignment({{"general.alignment", uint32_t{48}}}),
                      absl::StatusCode::kInvalidArgument, "48");
  FRUGAL_EXPECT_ERROR(gguf_alignment({{"general.alignment", uint32_t{0}}}),
                      absl::StatusCode::kInvalidArgument, "0");
  FRUGAL_EXPECT_ERROR(gguf_alignment({{"general.alignment", uint64_t{32}}}),
                      absl::StatusCode::kInvalidArgument, "U32");
}

TEST(GgufCheck, NamesAndKeysStandOnce) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(check_gguf_keys({{"", true}}), invalid, "empty");
  FRUGAL_EXPECT_ERROR(check_gguf_keys({{"a", true}, {"a", false}}), invalid, "'a' stands twice");
  GgufTensor tensor;
  tensor.name = std::string(63, 'n');
  FRUGAL_EXPECT_OK(check_gguf_tensor_names({tensor}));
  FRUGAL_EXPECT_ERROR(check_gguf_tensor_names({tensor, tensor}), invalid, "stands twice");
  tensor.name += "n";
  FRUGAL_EXPECT_ERROR(check_gguf_tensor_names({tensor}), invalid, "64 bytes");
}

TEST(GgufCheck, TokenizerArraysAgree) {
  const std::vector<std::string> tokens = {"a", "b"};
  const auto with = [&](std::string key, GgufValue value) {
    return check_gguf_tokenizer(
        {{"tokenizer.ggml.tokens", tokens}, {std::move(key), std::move(value)}});
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_OK(with("tokenizer.ggml.scores", std::vector<float>{1, 2}));
  FRUGAL_EXPECT_ERROR(with("tokenizer.ggml.scores", std::vector<float>{1}), invalid,
                      "has 1 entries");
  FRUGAL_EXPECT_ERROR(with("tokenizer.ggml.token_type", std::string("ab")), invalid,
                      "must be an array");
  FRUGAL_EXPECT_OK(with("tokenizer.ggml.bos_token_id", uint32_t{1}));
  FRUGAL_EXPECT_ERROR(with("tokenizer.ggml.bos_token_id", uint32_t{2}), invalid,
                      "there are 2 tokens");
  FRUGAL_EXPECT_ERROR(with("tokenizer.ggml.eos_token_id", int32_t{0}), invalid,
                      "must be of type U32");
  FRUGAL_EXPECT_ERROR(check_gguf_tokenizer({{"tokenizer.ggml.tokens", uint32_t{3}}}), invalid,
                      "array of strings");
}

}  // namespace
}  // namespace frugal::format
