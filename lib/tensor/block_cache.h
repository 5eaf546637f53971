// Where the tensors of this process lie on the CPU: large blocks come straight from the system, and
// freed ones wait for the next of their size.
//
// A walk keeps hundreds of megabytes of activations that are replaced stage by stage, between
// temporaries. From malloc's heap, which shrinks only at its end, what was freed between two that
// live stays resident: up to half of the peak. Blocks of their own, always unmapped, cost a page
// fault per 4 KiB of every temporary: half as much time again. Hence this: freed blocks stay
// mapped, but before a new one is mapped as many are given back as keep all blocks together below
// the most that was ever in use at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace frugal::tensor {

class BlockCache {
 public:
  BlockCache() = default;
  ~BlockCache() { release(); }
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // At least `bytes`, aligned to 64 bytes, not initialized. Throws as LibTorch's own allocator
  // where memory is out.
  void* take(size_t bytes);
  // What take() gave; nothing for a null pointer.
  void give(void* data);
  // Gives the waiting blocks back to the system.
  void release();

  // Bytes of large blocks, rounded up to their sizes: in use, and waiting.
  int64_t used_bytes() const;
  int64_t waiting_bytes() const;

 private:
  struct Block {
    void* start;
    size_t bytes;
  };
  void* map(size_t bytes);
  std::vector<Block> make_room(size_t bytes);

  mutable std::mutex mutex_;
  std::vector<Block> waiting_;  // the longest waiting first
  size_t used_ = 0, kept_ = 0, most_used_ = 0;
};

// From here on LibTorch's CPU tensors lie in one BlockCache. Before the first tensor is made.
void use_block_cache();
// Gives that cache's waiting blocks back; nothing without use_block_cache().
void release_waiting_blocks();

}  // namespace frugal::tensor
