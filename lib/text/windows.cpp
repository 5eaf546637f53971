#include "base/hash.h"
#include "text/dataset.h"

namespace frugal::text {

std::string join_examples(const std::vector<Example>& examples, std::string_view joiner) {
  std::string joined;
  for (size_t i = 0; i < examples.size(); ++i) {
    if (i > 0 && !examples[i].chat) joined += joiner;
    joined += examples[i].prompt;
    joined += examples[i].completion;
  }
  return joined;
}

absl::StatusOr<Windows> make_windows(const std::vector<Example>& examples,
                                     const Tokenizer& tokenizer, const WindowOptions& options) {
  if (options.length < 1 || options.limit < 0) {
    return base::invalid_argument("windows of length ", options.length, ", at most ", options.limit,
                                  ": both must be positive (0 windows = all)");
  }
  const std::string joined = join_examples(examples, options.joiner);
  const std::vector<TokenId> stream = tokenizer.encode(joined, false);
  Windows windows;
  windows.length = options.length;
  windows.stream_tokens = static_cast<int64_t>(stream.size());
  windows.text_sha256 = base::sha256(joined);
  const int64_t available = windows.stream_tokens / options.length;
  if (available == 0) {
    return base::invalid_argument("the text has ", windows.stream_tokens,
                                  " tokens, fewer than one window of ", options.length,
                                  "; give more text or a shorter window");
  }
  windows.count = options.limit == 0 ? available : std::min(options.limit, available);
  windows.ids.reserve(windows.count * options.length);
  for (int64_t i = 0; i < windows.count; ++i) {
    const int64_t window = options.spread ? i * available / windows.count : i;
    const auto begin = stream.begin() + window * options.length;
    windows.ids.insert(windows.ids.end(), begin, begin + options.length);
  }
  return windows;
}

Windows some_windows(const Windows& all, int64_t count) {
  if (count >= all.count) return all;
  Windows some = all;
  some.count = std::max<int64_t>(count, 0);
  some.ids.clear();
  for (int64_t i = 0; i < some.count; ++i) {
    const auto begin = all.ids.begin() + i * all.count / some.count * all.length;
    some.ids.insert(some.ids.end(), begin, begin + all.length);
  }
  return some;
}

}  // namespace frugal::text
