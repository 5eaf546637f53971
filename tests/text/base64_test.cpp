#include "text/base64.h"

#include "support/shared_data.h"

namespace frugal::text {
namespace {

TEST(Base64, VectorsOfRfc4648) {
  EXPECT_EQ(decode_base64("Zg=="), "f");
  EXPECT_EQ(decode_base64("Zm8="), "fo");
  EXPECT_EQ(decode_base64("Zm9v"), "foo");
  EXPECT_EQ(decode_base64("Zm9vYmFy"), "foobar");
  EXPECT_EQ(decode_base64("+/+/"), "\xFB\xFF\xBF");
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"", "Zg", "Zg=", "Z===", "Zm9*", "Zm 9", "Z-_v"})
    EXPECT_EQ(decode_base64(text), std::nullopt) << text;
}

}  // namespace
}  // namespace frugal::text
