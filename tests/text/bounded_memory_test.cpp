// What streams holds as much memory for a large file as for a small one: every byte that this
// program takes from the heap is counted.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <new>

#include "support/shared_data.h"
#include "text/packing.h"

namespace {

std::atomic<int64_t> held_bytes{0}, most_bytes{0};

void* take(std::size_t size) {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  const int64_t now = held_bytes += static_cast<int64_t>(malloc_usable_size(memory));
  int64_t most = most_bytes;
  while (now > most && !most_bytes.compare_exchange_weak(most, now)) continue;
  return memory;
}

void give_back(void* memory) noexcept {
  if (memory != nullptr) held_bytes -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return take(size); }
void* operator new[](std::size_t size) { return take(size); }
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete[](void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::size_t) noexcept { give_back(memory); }

namespace frugal::text {
namespace {

// The most bytes that `body` held at a time, beyond those held before.
template <typename Body>
int64_t most_held(const Body& body) {
  const int64_t before = held_bytes;
  most_bytes = before;
  body();
  return most_bytes - before;
}

class BoundedMemory : public testing::Test {
 protected:
  // Text of few words, so that what is remembered of words does not grow either.
  DataSource texts(int64_t bytes) {
    const auto path = folder_.path() / (std::to_string(bytes) + ".txt");
    std::ofstream file(path);
    for (int64_t i = 0; i * 20 < bytes; ++i) file << "the cat saw the dog\n";
    DataSource source;
    source.text = {path.string()};
    return source;
  }
  DataSource records(int64_t bytes) {
    const auto path = folder_.path() / (std::to_string(bytes) + ".jsonl");
    std::ofstream file(path);
    for (int64_t i = 0; i * 40 < bytes; ++i)
      file << R"({"prompt":"a cat?","completion":" yes"})" << '\n';
    DataSource source;
    source.jsonl = path.string();
    return source;
  }
  int64_t held_by_packing(const DataSource& source) {
    BpeTrainerOptions trained;
    trained.vocabulary_size = 257;
    const auto tokenizer = train_bpe(std::vector<std::string>{}, trained).value();
    PackOptions options;
    options.length = 128;
    return most_held([&] {
      FRUGAL_ASSERT_OK_AND_ASSIGN(const auto packed,
                                  pack(source, *tokenizer, options, folder_.path()));
      ASSERT_GT(packed->count(), 1000);
      for (int64_t row = 0; row < packed->count(); row += 16) {
        const std::vector<int64_t> rows = {row, packed->count() - 1 - row};
        FRUGAL_ASSERT_OK(packed->read(rows).status());
      }
    });
  }
  test::TemporaryFolder folder_;
};

TEST_F(BoundedMemory, PackingATextDoesNotGrowWithTheFile) {
  constexpr int64_t kSmall = 1 << 20, kLarge = 16 << 20;
  const int64_t small = held_by_packing(texts(kSmall)), large = held_by_packing(texts(kLarge));
  // A cut may lie a few bytes further on, and then a buffer is a little larger; nothing else.
  EXPECT_LT(large, small + small / 4);
  EXPECT_LT(large, kLarge);
}

TEST_F(BoundedMemory, PackingRecordsDoesNotGrowWithTheFile) {
  constexpr int64_t kSmall = 1 << 20, kLarge = 16 << 20;
  const int64_t small = held_by_packing(records(kSmall)), large = held_by_packing(records(kLarge));
  EXPECT_LT(large, small + small / 4);
  EXPECT_LT(large, kLarge / 8);
}

}  // namespace
}  // namespace frugal::text
