#include "text/wire.h"

#include "base/random.h"
#include "support/shared_data.h"

namespace frugal::text {
namespace {

TEST(Wire, ReadsEveryType) {
  const std::string bytes(
      "\x08\x96\x01\x11\x01\x02\x03\x04\x05\x06\x07\x08\x1A\x03"
      "abc\x25\x01\x00\x00\x80",
      22);
  WireReader reader(bytes);
  FRUGAL_ASSERT_OK_AND_ASSIGN(WireField field, reader.next());
  EXPECT_EQ(field.number, 1u);
  EXPECT_EQ(field.value, 150u);
  FRUGAL_ASSERT_OK_AND_ASSIGN(field, reader.next());
  EXPECT_EQ(field.value, 0x0807060504030201u);
  FRUGAL_ASSERT_OK_AND_ASSIGN(field, reader.next());
  EXPECT_EQ(field.number, 3u);
  EXPECT_EQ(field.bytes, "abc");
  FRUGAL_ASSERT_OK_AND_ASSIGN(field, reader.next());
  EXPECT_EQ(field.value, 0x80000001u);
  EXPECT_TRUE(reader.at_end());
}

TEST(Wire, TrustsNoLength) {
  const auto first_error = [](std::string_view bytes) { return WireReader(bytes).next().status(); };
  constexpr auto kLoss = absl::StatusCode::kDataLoss;
  FRUGAL_EXPECT_ERROR(first_error("\x0A\x05xy"), kLoss, "a field of 5 bytes");
  FRUGAL_EXPECT_ERROR(first_error("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), kLoss,
                      "bytes at byte");
  FRUGAL_EXPECT_ERROR(first_error("\x08\x80"), kLoss, "cut off");
  FRUGAL_EXPECT_ERROR(first_error("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), kLoss,
                      "more than ten");
  FRUGAL_EXPECT_ERROR(first_error("\x0B"), kLoss, "wire type 3");
  FRUGAL_EXPECT_ERROR(first_error(std::string_view("\x00", 1)), kLoss, "no field number");
}

TEST(Wire, RandomBytesEndInAStatus) {
  base::RandomStream random(3, "wire");
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random.below(40), '\0');
    for (char& c : bytes) c = static_cast<char>(random.below(256));
    WireReader reader(bytes);
    size_t fields = 0;
    while (!reader.at_end() && reader.next().ok()) ++fields;
    EXPECT_LE(fields, bytes.size());
  }
}

}  // namespace
}  // namespace frugal::text
