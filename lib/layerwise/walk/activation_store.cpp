#include "layerwise/walk/activation_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

// Of a place in the file: mappings begin at pages.
int64_t page_bytes() {
  static const auto size = static_cast<int64_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

int64_t whole_pages(int64_t bytes) {
  return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

}  // namespace

class ActivationStore::State {
 public:
  State(int64_t limit, std::filesystem::path folder) : limit_(limit), folder_(std::move(folder)) {}
  ~State() {
    if (file_ >= 0) ::close(file_);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  int64_t limit() const { return limit_; }
  int64_t in_memory() {
    const std::lock_guard lock(mutex_);
    return in_memory_;
  }
  int64_t file_bytes() {
    const std::lock_guard lock(mutex_);
    return end_;
  }

  bool holds(const void* data) {
    const std::lock_guard lock(mutex_);
    return held_.contains(data);
  }
  // Whether `bytes` at `data` still fit into memory; they are then counted.
  bool take_memory(const void* data, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    if (in_memory_ + bytes > limit_) return false;
    in_memory_ += bytes;
    held_[data] = -1;
    return true;
  }
  void give_memory_back(const void* data, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    in_memory_ -= bytes;
    held_.erase(data);
  }

  // Writes `bytes` to a free place and maps it.
  void* spill(const void* data, int64_t bytes) {
    const int64_t size = whole_pages(bytes), offset = take_place(size);
    write(static_cast<const char*>(data), bytes, offset);
    void* const mapped = ::mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE,
                                MAP_SHARED, file_, offset);
    if (mapped == MAP_FAILED) fail("cannot map", bytes, errno);
    ::madvise(mapped, static_cast<size_t>(size), MADV_SEQUENTIAL);
    const std::lock_guard lock(mutex_);
    held_[mapped] = offset;
    return mapped;
  }
  void unmap(void* mapped, int64_t bytes) {
    int64_t offset = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto found = held_.find(mapped);
      offset = found->second;
      held_.erase(found);  // before the address can be another's
    }
    ::munmap(mapped, static_cast<size_t>(whole_pages(bytes)));
    const std::lock_guard lock(mutex_);
    free_.emplace(whole_pages(bytes), offset);
  }
  bool is_mapped(const void* data) {
    const std::lock_guard lock(mutex_);
    const auto found = held_.find(data);
    return found != held_.end() && found->second >= 0;
  }

 private:
  // A place that held as much before, else one behind all others: the sizes are few, one per kind
  // of activation and one more for the last chunk.
  int64_t take_place(int64_t size) {
    const std::lock_guard lock(mutex_);
    if (file_ < 0) open();
    if (const auto found = free_.find(size); found != free_.end()) {
      const int64_t offset = found->second;
      free_.erase(found);
      return offset;
    }
    const int64_t offset = end_;
    if (::ftruncate(file_, offset + size) != 0) fail("cannot grow", offset + size, errno);
    end_ += size;
    return offset;
  }

  void open() {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    path_ = (folder_ / "activations.XXXXXX").string();
    if (error) fail("cannot make", limit_, error.value());
    file_ = ::mkostemp(path_.data(), O_CLOEXEC);
    if (file_ < 0) fail("cannot make", limit_, errno);
    ::unlink(path_.c_str());
  }

  // By a write, not through the mapping, where a full disk would be a signal.
  void write(const char* data, int64_t bytes, int64_t offset) {
    for (int64_t done = 0; done < bytes;) {
      const ssize_t count =
          ::pwrite(file_, data + done, static_cast<size_t>(bytes - done), offset + done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail("cannot write", bytes, count == 0 ? ENOSPC : errno);
      done += count;
    }
  }

  [[noreturn]] void fail(const char* what, int64_t bytes, int error) const {
    TORCH_CHECK(false, "activations beyond the limit of ", limit_, " bytes: ", what, " '", path_,
                "' (", bytes, " bytes): ", std::generic_category().message(error),
                "; free room there or raise activation_memory");
  }

  const int64_t limit_;
  const std::filesystem::path folder_;
  std::mutex mutex_;
  std::string path_;
  int file_ = -1;
  int64_t in_memory_ = 0, end_ = 0;
  std::multimap<int64_t, int64_t> free_;  // size -> offset of places nobody uses
  std::map<const void*, int64_t> held_;   // data -> offset, -1 in memory
};

ActivationStore::ActivationStore(int64_t limit_bytes, std::filesystem::path folder,
                                 const at::Device& device)
    : state_(std::make_shared<State>(limit_bytes, std::move(folder))), device_(device) {
  TORCH_CHECK(limit_bytes >= 0, "a limit of ", limit_bytes, " bytes for activations");
  if (limit_bytes > 0 && !device.is_cpu()) copies_.emplace(device);
}

at::Tensor ActivationStore::keep(const at::Tensor& value) const {
  if (state_->limit() == 0 || !value.defined() || value.numel() == 0) return value;
  if (value.device() != device_) return value;  // it lies on the host
  const at::Tensor whole = value.contiguous();
  void* const data = whole.data_ptr();
  if (state_->holds(data)) return whole;
  const auto bytes = static_cast<int64_t>(whole.nbytes());
  if (!device_.is_cpu()) return keep_on_device(whole, bytes);
  const auto wrap = [&](void* place, const std::function<void(void*)>& release) {
    return at::from_blob(place, whole.sizes(), release, whole.options());
  };
  if (state_->take_memory(data, bytes)) {
    return wrap(data, [state = state_, whole, bytes](void* place) {
      state->give_memory_back(place, bytes);
    });
  }
  return wrap(state_->spill(data, bytes),
              [state = state_, bytes](void* place) { state->unmap(place, bytes); });
}

at::Tensor ActivationStore::keep_on_device(const at::Tensor& whole, int64_t bytes) const {
  void* const data = whole.data_ptr();
  if (!state_->take_memory(data, bytes)) return copies_->to_host(whole);
  return at::for_blob(data, whole.sizes())
      .deleter(
          [state = state_, whole, bytes](void* place) { state->give_memory_back(place, bytes); })
      .options(whole.options())
      .target_device(device_)
      .make_tensor();
}

at::Tensor ActivationStore::fetch(const at::Tensor& kept) const {
  if (!kept.defined() || kept.device() == device_) return kept;
  const auto found = arrivals_.find(kept.const_data_ptr());
  if (found == arrivals_.end()) return copies_->finish(copies_->start(kept));
  tensor::CopyQueue::Arrival arrival = std::move(found->second);
  arrivals_.erase(found);
  return copies_->finish(std::move(arrival));
}

void ActivationStore::prefetch(const at::Tensor& kept) const {
  if (!kept.defined() || kept.device() == device_ || arrivals_.contains(kept.const_data_ptr()))
    return;
  arrivals_.emplace(kept.const_data_ptr(), copies_->start(kept));
}

void ActivationStore::evict(const at::Tensor& value) const {
  if (state_->limit() == 0 || !value.defined() || !value.is_cpu()) return;
  if (!state_->is_mapped(value.data_ptr())) return;
  ::madvise(value.data_ptr(),
            static_cast<size_t>(whole_pages(static_cast<int64_t>(value.nbytes()))),
            MADV_DONTNEED);  // a shared mapping: the values stay in the file
}

int64_t ActivationStore::bytes_in_memory() const { return state_->in_memory(); }
int64_t ActivationStore::file_bytes() const { return state_->file_bytes(); }

}  // namespace frugal::layerwise
