// Where the tensors of this process lie on the CPU: large blocks come from one range of addresses,
// and freed ones keep their pages for others.
//
// A walk keeps hundreds of megabytes of activations that are replaced stage by stage, by ones of
// other sizes, between temporaries. From malloc's heap, which shrinks only at its end, what was
// freed between two that live stays resident: up to half of the peak. Blocks of their own, always
// unmapped, cost a page fault per 4 KiB of every temporary: half as much time again. Hence this:
// freed blocks stay resident, are joined with free neighbors and cut for others, and before fresh
// pages are used as many are given back as keep all blocks together below the most that was ever in
// use at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace frugal::tensor {

class BlockCache {
 public:
  BlockCache() = default;
  ~BlockCache();  // when all was given back
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // At least `bytes`, aligned to 64 bytes, not initialized. Throws as LibTorch's own allocator
  // where memory is out.
  void* take(size_t bytes);
  // What take() gave; nothing for a null pointer.
  void give(void* data);
  // Gives the waiting blocks' pages back to the system.
  void release();

  // Bytes of large blocks, rounded up to their sizes: in use, and waiting.
  int64_t used_bytes() const;
  int64_t waiting_bytes() const;

 private:
  // Addresses of no block; their pages are resident, or the system has them.
  struct Free {
    size_t bytes;
    uint64_t freed;  // when, the latest of what was joined
    bool resident;
  };
  using FreeList = std::map<char*, Free>;  // neighbors that are alike are one

  char* map(size_t bytes);
  char* find(size_t bytes) const;
  char* extend(size_t bytes);
  void cut(char* start, size_t bytes);
  void insert(char* start, const Free& free);
  FreeList take_unneeded(size_t bytes);
  void give_back(const FreeList& pages);

  mutable std::mutex mutex_;
  char *range_ = nullptr, *end_ = nullptr;  // reserved addresses, and where no block was yet
  char *writable_ = nullptr, *range_end_ = nullptr;  // up to here they can be used, and all of them
  FreeList free_;
  size_t used_ = 0, kept_ = 0, most_used_ = 0;
  uint64_t clock_ = 0;
};

// From here on LibTorch's CPU tensors lie in one BlockCache. Before the first tensor is made.
void use_block_cache();
// Gives that cache's waiting blocks back; nothing without use_block_cache().
void release_waiting_blocks();

}  // namespace frugal::tensor
