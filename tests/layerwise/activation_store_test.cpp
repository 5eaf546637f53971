#include "layerwise/walk/activation_store.h"

#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

TEST(ActivationStore, KeepsValuesInMemoryUpToTheLimitAndTheRestInAFile) {
  const test::TemporaryFolder folder;
  const ActivationStore store(3000, folder.path());
  const at::Tensor a = random_matrix(1, "a", 25, 25), b = random_matrix(2, "b", 25, 25);
  at::Tensor first = store.keep(a);
  EXPECT_EQ(store.bytes_in_memory(), 2500);
  EXPECT_EQ(store.file_bytes(), 0);
  at::Tensor second = store.keep(b.t());  // not contiguous: its values count
  EXPECT_GE(store.file_bytes(), 2500);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));  // unlinked while it is in use
  store.evict(second);
  store.evict(first);
  EXPECT_TRUE(at::equal(first, a));
  EXPECT_TRUE(at::equal(second, b.t()));
  EXPECT_EQ(store.keep(second).data_ptr(), second.data_ptr());  // kept already
  second.add_(1);
  store.evict(second);  // what was written stays
  EXPECT_TRUE(at::equal(second, b.t() + 1));
  first = at::Tensor();
  EXPECT_EQ(store.bytes_in_memory(), 0);
}

TEST(ActivationStore, FreedPlacesAreTakenAgainAndTensorsOutliveTheStore) {
  const test::TemporaryFolder folder;
  at::Tensor last;
  const at::Tensor value = random_matrix(3, "value", 64, 64);
  {
    const ActivationStore store(1, folder.path());
    for (int i = 0; i < 100; ++i) last = store.keep(value + i);  // the one before goes afterwards
    EXPECT_EQ(store.file_bytes(), 2 * 64 * 64 * 4);
  }
  EXPECT_TRUE(at::equal(last, value + 99));
}

TEST(ActivationStore, WorksAcrossThreads) {
  const test::TemporaryFolder folder;
  const ActivationStore store(40000, folder.path());
  const ThreadCount count(3);
  std::vector<at::Tensor> kept(60);
  tensor::for_each_tile(60, [&](int64_t i) {
    for (int64_t round = 0; round < 5; ++round) {
      at::Tensor& slot = kept[static_cast<size_t>(i)];
      slot = store.keep(at::full({40, 30}, static_cast<double>(i + round), at::kFloat));
      store.evict(slot);
    }
  });
  for (int64_t i = 0; i < 60; ++i) {
    EXPECT_TRUE(at::equal(kept[static_cast<size_t>(i)],
                          at::full({40, 30}, static_cast<double>(i + 4), at::kFloat)));
  }
  EXPECT_LE(store.bytes_in_memory(), 40000);
}

TEST(ActivationStore, WithoutALimitNothingIsTouched) {
  const ActivationStore store(0, "/nowhere/at/all");
  const at::Tensor value = at::ones({3, 4}).t();
  EXPECT_TRUE(store.keep(value).is_same(value));
  EXPECT_FALSE(store.keep(at::Tensor()).defined());
}

std::string failure(const ActivationStore& store, const at::Tensor& value) {
  try {
    store.keep(value);
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

TEST(ActivationStore, SaysWhichFileAndHowManyBytes) {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "file";
  std::ofstream(file) << "no folder";
  const ActivationStore store(1, file / "below");
  const std::string message = failure(store, at::ones({1000}));
  EXPECT_NE(message.find((file / "below" / "activations.").string()), std::string::npos) << message;
  EXPECT_NE(message.find("Not a directory"), std::string::npos) << message;
}

TEST(ActivationStore, AFullDiskIsAnError) {
  const test::TemporaryFolder folder;
  const ActivationStore store(1, folder.path());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler =
      std::signal(SIGXFSZ, SIG_IGN);  // then it is an error code, as of a full disk
  const rlimit small{.rlim_cur = 8192, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = failure(store, at::ones({10000}));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("40960 bytes"), std::string::npos) << message;
  EXPECT_NE(message.find("File too large"), std::string::npos) << message;
  EXPECT_NE(message.find(folder.path().string()), std::string::npos) << message;
}

}  // namespace
}  // namespace frugal::layerwise
