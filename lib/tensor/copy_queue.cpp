// Tested by: tests/layerwise/gpu_test.cpp
#include "tensor/copy_queue.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

#include "tensor/aten.h"

namespace frugal::tensor {
namespace {

c10::Stream current_stream(const at::Device& device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

}  // namespace

CopyQueue::CopyQueue(const at::Device& device)
    : device_(device),
      copies_(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device)) {}

at::Tensor CopyQueue::to_host(const at::Tensor& value) const {
  const at::Tensor whole = value.contiguous();
  at::Tensor host =
      at::empty(whole.sizes(), at::TensorOptions().dtype(whole.scalar_type()).pinned_memory(true));
  c10::Event computed(device_.type());
  computed.record(current_stream(device_));
  const c10::StreamGuard guard(copies_);
  computed.block(copies_);
  host.copy_(whole, /*non_blocking=*/true);
  whole.record_stream(copies_);  // its memory is not another's before it is copied
  return host;
}

CopyQueue::Arrival CopyQueue::start(const at::Tensor& value) const {
  const c10::StreamGuard guard(copies_);
  Arrival arrival{.source = value,
                  .value = at::empty(value.sizes(), value.options().device(device_)),
                  .copied = std::nullopt};
  arrival.value.copy_(value, /*non_blocking=*/true);
  arrival.copied.emplace(device_.type());
  arrival.copied->record(copies_);
  return arrival;
}

at::Tensor CopyQueue::finish(Arrival arrival) const {
  const c10::Stream here = current_stream(device_);
  arrival.copied->block(here);
  arrival.value.record_stream(here);
  return std::move(arrival.value);
}

}  // namespace frugal::tensor
