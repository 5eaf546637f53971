// XXH3-128 for cache keys (fast, not adversarial) and SHA-256 for provenance.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::base {

// 32 hexadecimal digits.
std::string xxh3_128(std::string_view bytes);
std::string xxh3_128(std::span<const std::byte> bytes);

// XXH3-128 over several parts, each preceded by its length: ("ab","c") and ("a","bc") differ.
class KeyHasher {
 public:
  KeyHasher();
  ~KeyHasher();
  KeyHasher& add(std::string_view part);
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Of a file's content, read piece by piece: an error of the disk is a Status here, where a mapping
// would raise SIGBUS.
absl::StatusOr<std::string> xxh3_128_of_file(const std::filesystem::path& path);

// 64 hexadecimal digits.
std::string sha256(std::span<const std::byte> bytes);
std::string sha256(std::string_view bytes);

// The same of what comes in parts.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256& add(std::string_view part);
  std::string hex();  // ends it

 private:
  struct State;
  std::unique_ptr<State> state_;
};
absl::StatusOr<std::string> sha256_of_file(const std::filesystem::path& path);

// XXH3-128 over the sorted relative names and contents of every regular file below `folder`.
absl::StatusOr<std::string> hash_folder(const std::filesystem::path& folder);

}  // namespace frugal::base
