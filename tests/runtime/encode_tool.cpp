// Ids of texts as frugal gives them, for judges and for the benchmark beside them.
//
//   frugal_encode [--repeat N] TOKENIZER TEXTS OUT
//
// TEXTS: for each u64 bytes, then these. OUT: for each u64 ids, then these as i32. Prints the
// CPU seconds that encoding took on one thread, of N times the shortest.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "text/tokenizer.h"

namespace {

using Ids = std::vector<frugal::text::TokenId>;

bool read_texts(std::string_view content, std::vector<std::string_view>& texts) {
  while (!content.empty()) {
    uint64_t size = 0;
    if (content.size() < sizeof size) return false;
    std::memcpy(&size, content.data(), sizeof size);
    content.remove_prefix(sizeof size);
    if (content.size() < size) return false;
    texts.push_back(content.substr(0, size));
    content.remove_prefix(size);
  }
  return true;
}

std::string packed(const std::vector<Ids>& all) {
  std::string out;
  for (const Ids& ids : all) {
    const uint64_t count = ids.size();
    out.append(reinterpret_cast<const char*>(&count), sizeof count);
    out.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(Ids::value_type));
  }
  return out;
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

int fail(const std::string& what) {
  std::fprintf(stderr, "frugal_encode: %s\n", what.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  int repeat = 1;
  if (argc > 2 && std::string_view(argv[1]) == "--repeat") {
    repeat = std::atoi(argv[2]);
    argv += 2;
    argc -= 2;
  }
  if (argc != 4 || repeat < 1) return fail("usage: frugal_encode [--repeat N] TOKENIZER TEXTS OUT");
  const auto tokenizer = frugal::text::load_tokenizer(argv[1]);
  if (!tokenizer.ok()) return fail(tokenizer.status().ToString());
  const auto content = frugal::base::read_file(argv[2], int64_t{1} << 32);
  if (!content.ok()) return fail(content.status().ToString());
  std::vector<std::string_view> texts;
  if (!read_texts(*content, texts)) return fail(std::string(argv[2]) + ": cut off");
  std::vector<Ids> ids(texts.size());
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeat; ++i) {
    const double start = cpu_seconds();
    for (size_t t = 0; t < texts.size(); ++t) ids[t] = (*tokenizer)->encode(texts[t], false);
    best = std::min(best, cpu_seconds() - start);
  }
  const absl::Status written = frugal::base::write_file_atomically(argv[3], packed(ids));
  if (!written.ok()) return fail(written.ToString());
  std::printf("%.6f\n", best);
  return 0;
}
