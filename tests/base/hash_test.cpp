#include "base/hash.h"

#include <filesystem>
#include <fstream>

#include "support/shared_data.h"

namespace frugal::base {
namespace {

namespace fs = std::filesystem;

// Answers of the Python package xxhash 3 (its own copy of the reference code).
TEST(Hash, Xxh3KnownAnswers) {
  EXPECT_EQ(xxh3_128(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(xxh3_128("a"), "a96faf705af16834e6c632b61e964e1f");
  EXPECT_EQ(xxh3_128("abc"), "06b05ab6733a618578af5f94892f3950");
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  EXPECT_EQ(xxh3_128(bytes), "f1f8a93f50849ac39408a4433b952d71");
  bytes.clear();
  for (int i = 0; i < 5000; ++i) bytes.push_back(static_cast<char>(i * i % 251));
  EXPECT_EQ(xxh3_128(bytes), "03b1968210409dc8924c0d5e41418245");
  EXPECT_EQ(xxh3_128(std::as_bytes(std::span(bytes))), "03b1968210409dc8924c0d5e41418245");
}

// FIPS 180-4 examples and the million letters of NIST's test vectors.
TEST(Hash, Sha256KnownAnswers) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256().add("a").add("").add("bc").hex(), sha256("abc"));
  EXPECT_EQ(Sha256().hex(), sha256(""));
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Hash, KeysDependOnTheBordersOfParts) {
  EXPECT_EQ(KeyHasher().hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(KeyHasher().add("ab").add("c").hex(), "f2eda2708bcfd51cc05c0ee4c9f60440");
  EXPECT_EQ(KeyHasher().add("a").add("bc").hex(), "f310f4d71be93bc46456c91685adede6");
  KeyHasher hasher;
  hasher.add("ab");
  const std::string before = hasher.hex();
  EXPECT_EQ(hasher.hex(), before);  // asking does not change it
  EXPECT_NE(hasher.add("").hex(), before);
}

TEST(Hash, FilesAndFolders) {
  const test::TemporaryFolder folder;
  const fs::path root = folder.path() / "model";
  fs::create_directories(root / "sub");
  std::ofstream(root / "sub" / "b.txt") << "beta";
  std::ofstream(root / "a.txt") << "alpha";
  EXPECT_EQ(sha256_of_file(root / "a.txt").value(), sha256("alpha"));
  const char* expected =
      "dfd462b7689041bb37c02644f5dd47cc";  // of "a.txt", "alpha", "sub/b.txt", "beta"
  EXPECT_EQ(hash_folder(root).value(), expected);
  fs::rename(root, folder.path() / "moved");
  EXPECT_EQ(hash_folder(folder.path() / "moved").value(), expected);
  EXPECT_EQ(hash_folder((folder.path() / "moved").string() + "/").value(), expected);
  fs::rename(folder.path() / "moved" / "a.txt", folder.path() / "moved" / "c.txt");
  EXPECT_NE(hash_folder(folder.path() / "moved").value(), expected);
  FRUGAL_EXPECT_ERROR(hash_folder(root), absl::StatusCode::kNotFound, "model");
  FRUGAL_EXPECT_ERROR(sha256_of_file(root / "a.txt"), absl::StatusCode::kNotFound, "a.txt");
}

TEST(Hash, FoldersFollowLinksToFilesAndIgnoreDeadOnes) {
  const test::TemporaryFolder folder;
  fs::create_directories(folder.path() / "x");
  std::ofstream(folder.path() / "x" / "a") << "alpha";
  const std::string expected = hash_folder(folder.path() / "x").value();
  fs::create_directories(folder.path() / "y");
  fs::create_symlink(folder.path() / "x" / "a", folder.path() / "y" / "a");
  EXPECT_EQ(hash_folder(folder.path() / "y").value(), expected);
  fs::create_symlink(folder.path() / "nowhere", folder.path() / "y" / "dead");
  EXPECT_EQ(hash_folder(folder.path() / "y").value(), expected);
}

}  // namespace
}  // namespace frugal::base
