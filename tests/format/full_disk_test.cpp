// A disk that fills up while a model is written: an error, and nothing under a final name.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <functional>

#include "format/gguf.h"
#include "format/tiny_model.h"
#include "format/tiny_onnx.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;

// Runs `body` where no file may grow beyond `limit_bytes`: writing more fails, as on a full disk.
absl::Status with_limit(rlim_t limit_bytes, const std::function<absl::Status()>& body) {
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small{limit_bytes, old.rlim_max};
  EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  absl::Status status = body();
  EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, handler);
  return status;
}

TEST(FullDisk, LeavesNoCheckpoint) {
  const frugal::test::TemporaryFolder folder;
  const auto write = [&] {
    return test::write_model(folder.path(), test::tiny_config(), DType::kF32, 6000);
  };
  // The first shard (5,120 bytes of embedding) fits, a later one (8,192 bytes) does not.
  EXPECT_FALSE(with_limit(7000, write).ok());
  EXPECT_TRUE(fs::is_empty(folder.path()));
  FRUGAL_EXPECT_OK(write());
}

TEST(FullDisk, KeepsTheCheckpointThatWasThere) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(test::write_model(folder.path(), test::tiny_config(), DType::kF32));
  const std::string before = Checkpoint::open(folder.path()).value().content_hash().value();
  EXPECT_FALSE(with_limit(7000, [&] {
                 return test::write_model(folder.path(), test::tiny_config(), DType::kBF16);
               }).ok());
  EXPECT_EQ(Checkpoint::open(folder.path()).value().content_hash().value(), before);
}

TEST(FullDisk, LeavesNoGguf) {
  const frugal::test::TemporaryFolder folder;
  EXPECT_FALSE(with_limit(7000, [&]() -> absl::Status {
                 const std::vector<std::byte> bytes(20000);
                 FRUGAL_ASSIGN_OR_RETURN(const GgmlType f32, ggml_type(0u));
                 FRUGAL_ASSIGN_OR_RETURN(auto writer, GgufWriter::create(folder.path() / "m.gguf",
                                                                         {}, {{"t", {5000}, f32}}));
                 FRUGAL_RETURN_IF_ERROR(writer.write("t", bytes));
                 return writer.commit();
               }).ok());
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(FullDisk, LeavesNoOnnx) {
  const frugal::test::TemporaryFolder folder;
  EXPECT_FALSE(
      with_limit(7000, [&] { return test::write_tiny_onnx(folder.path() / "model.onnx"); }).ok());
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace frugal::format
