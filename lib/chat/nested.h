// Counts how deep calls stand within each other, as long as it lives.
#pragma once

namespace frugal::chat {

class Nested {
 public:
  explicit Nested(int& depth) : depth_(++depth) {}
  ~Nested() { --depth_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  int& depth_;
};

}  // namespace frugal::chat
