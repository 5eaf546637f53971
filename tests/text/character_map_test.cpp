#include "text/character_map.h"

#include "base/random.h"
#include "support/shared_data.h"

namespace frugal::text {
namespace {

// A double array of single bytes and of pairs "ab", written by hand: a unit holds the offset to its
// children from bit 10 on, whether a value hangs there in bit 8, and its own byte.
class Table {
 public:
  Table() : units_(1024, 0) { units_[0] = 256u << 10; }
  // `from` becomes what stands at `text_at`; two bytes hang below 512.
  void add(std::string_view from, uint32_t text_at) {
    uint32_t& first = units_[256 ^ byte(from[0])];
    if (from.size() == 1) {
      first = (first & ~0xFFu) | byte(from[0]) | 1u << 8 | (first >> 10 == 0 ? base(from[0]) : 0);
      units_[(256 ^ byte(from[0])) ^ (first >> 10)] = 0x80000000u | text_at;
      return;
    }
    if (first == 0) first = byte(from[0]) | base(from[0]);
    const uint32_t children = (256 ^ byte(from[0])) ^ (first >> 10);
    uint32_t& second = units_[children ^ byte(from[1])];
    second = byte(from[1]) | 1u << 8 | 1u << 10;
    units_[(children ^ byte(from[1])) ^ 1] = 0x80000000u | text_at;
  }
  std::string bytes(std::string_view texts) const {
    std::string out(4, '\0');
    const auto size = static_cast<uint32_t>(units_.size() * 4);
    std::memcpy(out.data(), &size, 4);
    out.append(reinterpret_cast<const char*>(units_.data()), size);
    return out.append(texts);
  }

 private:
  static uint32_t byte(char c) { return static_cast<unsigned char>(c); }
  static uint32_t base(char) { return 768u << 10; }
  std::vector<uint32_t> units_;
};

std::string table() {
  using namespace std::string_view_literals;
  Table table;
  table.add("a", 0);
  table.add("ab", 2);
  return table.bytes("x\0yz\0"sv);
}

TEST(CharacterMap, TakesTheLongestOrTheFirst) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const CharacterMap map, CharacterMap::read(table()));
  EXPECT_EQ(map.apply_longest("caba"), "cyzx");
  EXPECT_EQ(map.apply_graphemes("caba"), "cxbx");
  // The shortest entry stands for all of a short grapheme, and for its character in a long one.
  EXPECT_EQ(map.apply_graphemes("a\u0301."), "x.");
  EXPECT_EQ(map.apply_graphemes("a\u0301\u0301\u0301."), "x\u0301\u0301\u0301.");
  EXPECT_EQ(map.apply_longest("a\u0301"), "x\u0301");
  EXPECT_EQ(map.apply_graphemes("a\u1ad1."), "x.");  // a mark of Unicode 17
}

TEST(CharacterMap, DamagedTablesAreRefusedOrReadWithinThemselves) {
  const std::string good = table();
  for (size_t size = 0; size < good.size(); size += size < 8 ? 1 : 97)
    EXPECT_FALSE(CharacterMap::read(good.substr(0, size)).ok()) << size;
  base::RandomStream random(2, "character-map");
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = good;
    for (int edits = 0; edits < 8; ++edits)
      damaged[4 + random.below(damaged.size() - 5)] = static_cast<char>(random.below(256));
    const auto map = CharacterMap::read(damaged);
    if (!map.ok()) continue;
    map->apply_longest("caba zé");
    map->apply_graphemes("caba zé");
  }
}

}  // namespace
}  // namespace frugal::text
