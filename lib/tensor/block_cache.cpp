#include "tensor/block_cache.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>

namespace frugal::tensor {
namespace {

// Blocks from here on come from the range; smaller ones leave few holes, and there are many.
constexpr size_t kLarge = size_t{256} << 10;
// In front of the data, whose alignment it keeps: the block's size, 0 = from malloc.
constexpr size_t kHeader = 64;
// Sizes of blocks: whole pages, and few different ones among chunks of nearly equal size. What
// lies behind the data is not touched, hence not resident in a fresh block.
constexpr size_t kGranule = size_t{64} << 10;
// Addresses to reserve: more than machines have memory; where so many are not to be had, fewer.
constexpr size_t kMostAddresses = size_t{1} << 42, kFewestAddresses = size_t{1} << 30;
constexpr size_t kGrowth = size_t{64} << 20;  // that are made usable at a time

size_t rounded_up(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

size_t& header(void* start) { return *static_cast<size_t*>(start); }
void* data_of(void* start) { return static_cast<char*>(start) + kHeader; }
char* start_of(void* data) { return static_cast<char*>(data) - kHeader; }

}  // namespace

BlockCache::~BlockCache() {
  if (range_ != nullptr) ::munmap(range_, static_cast<size_t>(range_end_ - range_));
}

void* BlockCache::take(size_t bytes) {
  if (bytes + kHeader >= kLarge) {
    if (char* const start = map(rounded_up(bytes + kHeader, kGranule)); start != nullptr)
      return data_of(start);
  }
  void* const start = c10::alloc_cpu(bytes + kHeader);
  header(start) = 0;
  return data_of(start);
}

// A block of free addresses, resident ones where there are; null where the system has none.
char* BlockCache::map(size_t bytes) {
  FreeList unneeded;
  char* start = nullptr;
  {
    const std::lock_guard lock(mutex_);
    start = find(bytes);
    if (start != nullptr) {
      cut(start, bytes);
    } else if ((start = extend(bytes)) == nullptr) {
      return nullptr;
    }
    used_ += bytes;
    most_used_ = std::max(most_used_, used_);
    if (used_ + kept_ > most_used_) unneeded = take_unneeded(used_ + kept_ - most_used_);
  }
  give_back(unneeded);
  header(start) = bytes;
  return start;
}

// The smallest free place that is resident as a whole; else the free addresses in a row with most
// resident pages. Null: nowhere are as many.
char* BlockCache::find(size_t bytes) const {
  char *smallest = nullptr, *row = nullptr, *best_row = nullptr;
  size_t size = 0, row_bytes = 0, row_resident = 0, best_resident = 0;
  for (const auto& [start, free] : free_) {
    if (free.resident && free.bytes >= bytes && (smallest == nullptr || free.bytes < size)) {
      smallest = start;
      size = free.bytes;
    }
    if (row == nullptr || row + row_bytes != start) {
      row = start;
      row_bytes = row_resident = 0;
    }
    row_bytes += free.bytes;
    row_resident += free.resident ? free.bytes : 0;
    if (row_bytes >= bytes && (best_row == nullptr || row_resident > best_resident)) {
      best_row = row;
      best_resident = row_resident;
    }
  }
  return smallest != nullptr ? smallest : best_row;
}

// Addresses that no block had before.
char* BlockCache::extend(size_t bytes) {
  for (size_t wanted = kMostAddresses; range_ == nullptr && wanted >= kFewestAddresses;
       wanted /= 2) {
    void* const reserved =
        ::mmap(nullptr, wanted, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) continue;
    range_ = end_ = writable_ = static_cast<char*>(reserved);
    range_end_ = range_ + wanted;
  }
  if (range_ == nullptr || static_cast<size_t>(range_end_ - end_) < bytes) return nullptr;
  if (end_ + bytes > writable_) {
    const auto left = static_cast<size_t>(range_end_ - writable_);
    const auto missing = static_cast<size_t>(end_ + bytes - writable_);
    const size_t grown = std::min(left, rounded_up(missing, kGrowth));
    if (::mprotect(writable_, grown, PROT_READ | PROT_WRITE) != 0) return nullptr;
    writable_ += grown;
  }
  char* const start = end_;
  end_ += bytes;
  return start;
}

// Takes [start, start + bytes), all of it free, out of the list.
void BlockCache::cut(char* start, size_t bytes) {
  char* const end = start + bytes;
  auto at = free_.find(start);
  while (at != free_.end() && at->first < end) {
    const auto [begin, free] = *at;
    const auto taken = std::min(free.bytes, static_cast<size_t>(end - begin));
    if (free.resident) kept_ -= taken;
    at = free_.erase(at);
    if (taken < free.bytes)
      free_.emplace(begin + taken, Free{free.bytes - taken, free.freed, free.resident});
  }
}

// Adds addresses, joined with alike neighbors.
void BlockCache::insert(char* start, const Free& free) {
  if (free.resident) kept_ += free.bytes;
  auto at = free_.emplace(start, free).first;
  if (const auto next = std::next(at); next != free_.end() && next->first == start + free.bytes &&
                                       next->second.resident == free.resident) {
    at->second.bytes += next->second.bytes;
    at->second.freed = std::max(at->second.freed, next->second.freed);
    free_.erase(next);
  }
  if (at == free_.begin()) return;
  const auto before = std::prev(at);
  if (before->first + before->second.bytes != start || before->second.resident != free.resident)
    return;
  before->second.bytes += at->second.bytes;
  before->second.freed = std::max(before->second.freed, at->second.freed);
  free_.erase(at);
}

// Resident free pages, the longest waiting first, `bytes` of them where there are as many. They are
// nobody's until give_back(). Under the lock.
BlockCache::FreeList BlockCache::take_unneeded(size_t bytes) {
  FreeList result;
  while (bytes > 0) {
    auto oldest = free_.end();
    for (auto at = free_.begin(); at != free_.end(); ++at) {
      if (at->second.resident && (oldest == free_.end() || at->second.freed < oldest->second.freed))
        oldest = at;
    }
    if (oldest == free_.end()) return result;
    const size_t count = std::min(rounded_up(bytes, kGranule), oldest->second.bytes);
    char* const start = oldest->first;
    const uint64_t freed = oldest->second.freed;
    cut(start, count);
    result.emplace(start, Free{count, freed, false});
    bytes -= std::min(bytes, count);
  }
  return result;
}

void BlockCache::give_back(const FreeList& pages) {
  if (pages.empty()) return;
  for (const auto& [start, free] : pages) ::madvise(start, free.bytes, MADV_DONTNEED);
  const std::lock_guard lock(mutex_);
  for (const auto& [start, free] : pages) insert(start, free);
}

void BlockCache::give(void* data) {
  if (data == nullptr) return;
  char* const start = start_of(data);
  const size_t bytes = header(start);
  if (bytes == 0) return c10::free_cpu(start);
  const std::lock_guard lock(mutex_);
  used_ -= bytes;
  insert(start, {.bytes = bytes, .freed = ++clock_, .resident = true});
}

void BlockCache::release() {
  FreeList all;
  {
    const std::lock_guard lock(mutex_);
    all = take_unneeded(kept_);
  }
  give_back(all);
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
