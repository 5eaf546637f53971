#include "format/dtype.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::format {
namespace {

TEST(DType, NamesAndSizesRoundTrip) {
  for (const auto& [text, bytes] :
       std::vector<std::pair<std::string_view, int64_t>>{{"F32", 4},
                                                         {"F16", 2},
                                                         {"BF16", 2},
                                                         {"F64", 8},
                                                         {"I8", 1},
                                                         {"U8", 1},
                                                         {"I16", 2},
                                                         {"U16", 2},
                                                         {"I32", 4},
                                                         {"U32", 4},
                                                         {"I64", 8},
                                                         {"U64", 8},
                                                         {"BOOL", 1},
                                                         {"F8_E4M3", 1}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const DType dtype, parse_dtype(text));
    EXPECT_EQ(name(dtype), text);
    EXPECT_EQ(size_bytes(dtype), bytes) << text;
  }
}

TEST(DType, TellsUnsupportedFromUnknown) {
  FRUGAL_EXPECT_ERROR(parse_dtype("F8_E5M2"), absl::StatusCode::kUnimplemented, "F8_E5M2");
  FRUGAL_EXPECT_ERROR(parse_dtype("f32"), absl::StatusCode::kInvalidArgument, "'f32'");
}

TEST(DType, OnlyWeightTypesAreFloating) {
  EXPECT_TRUE(is_floating(DType::kBF16));
  EXPECT_FALSE(is_floating(DType::kF64));
  EXPECT_FALSE(is_floating(DType::kU8));
}

}  // namespace
}  // namespace frugal::format
