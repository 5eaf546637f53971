#include "base/status.h"

#include <cerrno>

#include "support/shared_data.h"

namespace frugal::base {
namespace {

TEST(Status, MessagesAreAssembledFromParts) {
  FRUGAL_EXPECT_ERROR(invalid_argument("rows ", 3, " of ", std::string_view("w")),
                      absl::StatusCode::kInvalidArgument, "rows 3 of w");
  EXPECT_EQ(not_found("x").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(unimplemented("x").code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(failed("x").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(data_loss("x").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(internal("x").code(), absl::StatusCode::kInternal);
  EXPECT_EQ(resource_exhausted("x").code(), absl::StatusCode::kResourceExhausted);
}

TEST(Status, AnnotationKeepsCodeAndPayload) {
  absl::Status status = data_loss("truncated");
  status.SetPayload("frugal/offset", absl::Cord("12"));
  const absl::Status annotated = annotate(annotate(status, "shard 2"), "loading");
  FRUGAL_EXPECT_ERROR(annotated, absl::StatusCode::kDataLoss, "loading: shard 2: truncated");
  EXPECT_EQ(annotated.GetPayload("frugal/offset"), absl::Cord("12"));
  FRUGAL_EXPECT_OK(annotate(absl::OkStatus(), "loading"));
}

TEST(Status, InterruptionIsRecognized) {
  EXPECT_TRUE(is_interrupted(interrupted()));
  EXPECT_TRUE(is_interrupted(annotate(interrupted(), "layer 3")));
  EXPECT_FALSE(is_interrupted(absl::OkStatus()));
  EXPECT_FALSE(is_interrupted(failed("x")));
}

TEST(Status, SystemErrorsNamePathAndCause) {
  FRUGAL_EXPECT_ERROR(system_error("write", "out/x", ENOSPC), absl::StatusCode::kResourceExhausted,
                      "cannot write 'out/x': No space left on device (28)");
  EXPECT_EQ(system_error("open", "x", ENOENT).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(system_error("open", "x", EACCES).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(system_error("open", "x", EEXIST).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(system_error("open", "x", EISDIR).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(system_error("open", "x", EIO).code(), absl::StatusCode::kFailedPrecondition);
}

absl::StatusOr<int> half_of(int value) {
  if (value % 2 != 0) return invalid_argument(value, " is odd");
  return value / 2;
}

absl::StatusOr<int> quarter_of(int value) {
  FRUGAL_ASSIGN_OR_RETURN(const int half, half_of(value));
  FRUGAL_ASSIGN_OR_RETURN(const int quarter, half_of(half));
  return quarter;
}

absl::Status require_quarter(int value) {
  FRUGAL_RETURN_IF_ERROR(quarter_of(value).status());
  return absl::OkStatus();
}

TEST(Status, MacrosHandErrorsOn) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int quarter, quarter_of(12));
  EXPECT_EQ(quarter, 3);
  FRUGAL_EXPECT_ERROR(quarter_of(6), absl::StatusCode::kInvalidArgument, "3 is odd");
  FRUGAL_EXPECT_ERROR(require_quarter(7), absl::StatusCode::kInvalidArgument, "7 is odd");
  FRUGAL_EXPECT_OK(require_quarter(8));
}

}  // namespace
}  // namespace frugal::base
