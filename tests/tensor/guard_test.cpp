#include "tensor/guard.h"

#include <c10/util/Exception.h>

#include <new>
#include <stdexcept>
#include <string>

#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::tensor {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Guard, ValuesPassThrough) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int value, guarded("adding", [] { return 2 + 3; }));
  EXPECT_EQ(value, 5);
  FRUGAL_EXPECT_OK(guarded("nothing", [] {}));
}

TEST(Guard, StatusesPassThrough) {
  FRUGAL_EXPECT_ERROR(guarded("reading", [] { return base::not_found("no such layer"); }),
                      absl::StatusCode::kNotFound, "no such layer");
  FRUGAL_EXPECT_ERROR(
      guarded("reading", []() -> absl::StatusOr<int> { return base::data_loss("torn"); }),
      absl::StatusCode::kDataLoss, "torn");
}

TEST(Guard, EveryKindOfExceptionHasItsCode) {
  const auto code = [](auto thrower) { return guarded("work", thrower).code(); };
  EXPECT_EQ(code([] { TORCH_CHECK_WITH(OutOfMemoryError, false, "x"); }),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code([] { TORCH_CHECK_NOT_IMPLEMENTED(false, "x"); }),
            absl::StatusCode::kUnimplemented);
  EXPECT_EQ(code([] { TORCH_CHECK_VALUE(false, "x"); }), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([] { TORCH_CHECK_TYPE(false, "x"); }), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([] { TORCH_CHECK_INDEX(false, "x"); }), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([] { TORCH_CHECK(false, "x"); }), absl::StatusCode::kInternal);
  EXPECT_EQ(code([] { throw std::bad_alloc(); }), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code([] { throw std::runtime_error("x"); }), absl::StatusCode::kInternal);
  EXPECT_EQ(code([] { throw 7; }), absl::StatusCode::kInternal);
}

TEST(Guard, MessageSaysWhatWasDoneAndHasNoBacktrace) {
  const absl::Status status =
      guarded("layer 3, down_proj", [] { TORCH_CHECK(false, "rows 4 != 5"); });
  const std::string message(status.message());
  EXPECT_THAT(message, StartsWith("layer 3, down_proj: rows 4 != 5"));
  EXPECT_THAT(message, Not(HasSubstr("frame #")));
}

TEST(Guard, AllocationBeyondTheMachineIsResourceExhausted) {
  const absl::Status status = guarded("allocating", [] {
    at::empty({int64_t{1} << 50}, at::kFloat);  // 4 PiB
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status.ToString();
}

}  // namespace
}  // namespace frugal::tensor
