// How CUDA multiplies fp32 matrices.
#pragma once

namespace frugal::tensor {

// While it lives, fp32 matrix products on CUDA run in TF32 (`tf32`) or in fp32; the earlier setting
// comes back with its end. TF32 keeps 10 bits behind the point of each factor and adds in fp32: for
// factors that were bf16 or fp16 (7 and 10 bits) every product is exact, for others 3 digits
// remain. The setting belongs to the process, not the thread: use where one thread feeds the
// device.
class Float32MatmulScope {
 public:
  explicit Float32MatmulScope(bool tf32);
  ~Float32MatmulScope();
  Float32MatmulScope(const Float32MatmulScope&) = delete;
  Float32MatmulScope& operator=(const Float32MatmulScope&) = delete;

 private:
  bool saved_;
};

}  // namespace frugal::tensor
