#include "tensor/block_cache.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

namespace frugal::tensor {
namespace {

// Blocks from here on are mapped; smaller ones leave few holes, and there are many.
constexpr size_t kLarge = size_t{256} << 10;
// In front of the data, whose alignment it keeps: the block's size, 0 = from malloc.
constexpr size_t kHeader = 64;

// Sizes in steps of an eighth of the power of two below, so that chunks of nearly equal size can
// take each other's place. The pages behind the data are not touched, hence not resident.
size_t block_size(size_t bytes) {
  const size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

size_t& header(void* start) { return *static_cast<size_t*>(start); }
void* data_of(void* start) { return static_cast<char*>(start) + kHeader; }
void* start_of(void* data) { return static_cast<char*>(data) - kHeader; }

void unmap(void* start, size_t bytes) { ::munmap(start, bytes); }

}  // namespace

void* BlockCache::take(size_t bytes) {
  if (bytes + kHeader >= kLarge) {
    if (void* const start = map(block_size(bytes + kHeader)); start != nullptr)
      return data_of(start);
  }
  void* const start = c10::alloc_cpu(bytes + kHeader);
  header(start) = 0;
  return data_of(start);
}

// A waiting block of this size, else a new one; null where the system has none.
void* BlockCache::map(size_t bytes) {
  std::vector<Block> unneeded;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(waiting_.rbegin(), waiting_.rend(),
                                    [&](const Block& block) { return block.bytes == bytes; });
    used_ += bytes;
    if (found != waiting_.rend()) {
      void* const start = found->start;
      waiting_.erase(std::next(found).base());
      kept_ -= bytes;
      return start;
    }
    most_used_ = std::max(most_used_, used_);
    if (used_ + kept_ > most_used_) unneeded = make_room(used_ + kept_ - most_used_);
  }
  for (const Block& block : unneeded) unmap(block.start, block.bytes);
  void* const start =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) {
    const std::lock_guard lock(mutex_);
    used_ -= bytes;
    return nullptr;
  }
  header(start) = bytes;
  return start;
}

// The longest waiting blocks, at least `bytes` of them where there are as many. Under the lock.
std::vector<BlockCache::Block> BlockCache::make_room(size_t bytes) {
  size_t room = 0, count = 0;
  while (count < waiting_.size() && room < bytes) room += waiting_[count++].bytes;
  kept_ -= room;
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  const std::vector<Block> result(waiting_.begin(), end);
  waiting_.erase(waiting_.begin(), end);
  return result;
}

void BlockCache::give(void* data) {
  if (data == nullptr) return;
  void* const start = start_of(data);
  const size_t bytes = header(start);
  if (bytes == 0) return c10::free_cpu(start);
  const std::lock_guard lock(mutex_);
  waiting_.push_back({start, bytes});
  kept_ += bytes;
  used_ -= bytes;
}

void BlockCache::release() {
  const std::lock_guard lock(mutex_);
  for (const Block& block : make_room(kept_)) unmap(block.start, block.bytes);
}

int64_t BlockCache::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(used_);
}

int64_t BlockCache::waiting_bytes() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(kept_);
}

namespace {

// Never destroyed: tensors may outlive every static object.
BlockCache& process_cache() {
  static auto* const cache = new BlockCache;
  return *cache;
}
std::atomic<bool> in_use = false;

class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &give, c10::DeviceType::CPU};
    void* const data = process_cache().take(bytes);
    return {data, data, &give, c10::DeviceType::CPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

 private:
  static void give(void* data) { process_cache().give(data); }
};

}  // namespace

void use_block_cache() {
  if (in_use.exchange(true)) return;
  static CachingAllocator allocator;
  c10::SetCPUAllocator(&allocator, /*priority=*/1);
}

void release_waiting_blocks() {
  if (in_use) process_cache().release();
}

}  // namespace frugal::tensor
