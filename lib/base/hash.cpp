#include "base/hash.h"

#include <openssl/evp.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/descriptor.h"
#include "base/file.h"

namespace frugal::base {
namespace fs = std::filesystem;
namespace {

std::string hexadecimal(std::span<const unsigned char> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) {
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

std::string hexadecimal(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  return hexadecimal(canonical.digest);
}

std::array<unsigned char, 8> little_endian(uint64_t value) {
  std::array<unsigned char, 8> out;
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<unsigned char>(value >> (8 * i));
  return out;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::string xxh3_128(std::string_view bytes) {
  return hexadecimal(XXH3_128bits(bytes.data(), bytes.size()));
}
std::string xxh3_128(std::span<const std::byte> bytes) { return xxh3_128(as_text(bytes)); }

struct KeyHasher::State {
  XXH3_state_t* hash = XXH3_createState();
  State() { XXH3_128bits_reset(hash); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { XXH3_freeState(hash); }
};

KeyHasher::KeyHasher() : state_(std::make_unique<State>()) {}
KeyHasher::~KeyHasher() = default;

KeyHasher& KeyHasher::add(std::string_view part) {
  const auto length = little_endian(part.size());
  XXH3_128bits_update(state_->hash, length.data(), length.size());
  XXH3_128bits_update(state_->hash, part.data(), part.size());
  return *this;
}

std::string KeyHasher::hex() const { return hexadecimal(XXH3_128bits_digest(state_->hash)); }

namespace {

// Piece by piece: pages of a mapped file would count as memory of this process.
absl::Status for_each_piece(const fs::path& path,
                            const std::function<void(std::string_view)>& use) {
  constexpr size_t kPieceBytes = size_t{1} << 20;
  FRUGAL_ASSIGN_OR_RETURN(const OpenedFile file, open_regular(path));
  std::vector<char> piece(kPieceBytes);
  while (true) {
    const ssize_t count = ::read(file.descriptor.number(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read", path.string(), errno);
    if (count == 0) return absl::OkStatus();
    use({piece.data(), static_cast<size_t>(count)});
  }
}

}  // namespace

absl::StatusOr<std::string> xxh3_128_of_file(const fs::path& path) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  FRUGAL_RETURN_IF_ERROR(for_each_piece(path, [&](std::string_view piece) {
    XXH3_128bits_update(state.get(), piece.data(), piece.size());
  }));
  return hexadecimal(XXH3_128bits_digest(state.get()));
}

std::string sha256(std::span<const std::byte> bytes) { return sha256(as_text(bytes)); }

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, 32> digest{};
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return hexadecimal(digest);
}

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr);
}
Sha256::~Sha256() = default;

Sha256& Sha256::add(std::string_view part) {
  EVP_DigestUpdate(state_->context.get(), part.data(), part.size());
  return *this;
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest{};
  EVP_DigestFinal_ex(state_->context.get(), digest.data(), nullptr);
  return hexadecimal(digest);
}

absl::StatusOr<std::string> sha256_of_file(const fs::path& path) {
  Sha256 hash;
  FRUGAL_RETURN_IF_ERROR(for_each_piece(path, [&](std::string_view piece) { hash.add(piece); }));
  return hash.hex();
}

absl::StatusOr<std::string> hash_folder(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  auto entry = fs::recursive_directory_iterator(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const bool is_file =
        entry->is_regular_file(error);  // through links, which model caches are made of
    if (!error && is_file)
      names.push_back(entry->path().lexically_relative(folder).generic_string());
    // A link to nowhere is nobody's content.
    if (error == std::errc::no_such_file_or_directory) error.clear();
  }
  if (error) return system_error("list", folder.string(), error.value());
  std::sort(names.begin(), names.end());
  // As KeyHasher of all names and contents, which need not be in memory.
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  const auto add = [&](std::string_view bytes) {
    XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
  };
  const auto add_length = [&](uint64_t bytes) {
    const auto length = little_endian(bytes);
    XXH3_128bits_update(state.get(), length.data(), length.size());
  };
  for (const std::string& name : names) {
    const auto size = fs::file_size(folder / name, error);
    if (error) return system_error("inspect", (folder / name).string(), error.value());
    add_length(name.size());
    add(name);
    add_length(size);
    FRUGAL_RETURN_IF_ERROR(for_each_piece(folder / name, add));
  }
  return hexadecimal(XXH3_128bits_digest(state.get()));
}

}  // namespace frugal::base
