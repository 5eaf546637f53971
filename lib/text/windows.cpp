#include <utility>

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

namespace {

// The ids of texts behind each other, as join_examples puts them, in whatever parts they come.
class JoinedIds final : public ExampleSink {
 public:
  JoinedIds(const Tokenizer& tokenizer, std::string_view joiner)
      : stream_(tokenizer.stream()), joiner_(joiner) {}

  absl::StatusOr<bool> take(Example example) override {
    begin(example.chat);
    feed(example.prompt);
    feed(example.completion);
    return true;
  }
  absl::Status take_part(std::string_view part) override {
    if (!std::exchange(in_text_, true)) begin(false);
    feed(part);
    return absl::OkStatus();
  }
  absl::StatusOr<bool> end_text(std::string) override {
    if (!std::exchange(in_text_, false)) begin(false);
    return true;
  }

  absl::StatusOr<Windows> cut(const WindowOptions& options) &&;

 private:
  void begin(bool chat) {
    if (std::exchange(any_, true) && !chat) feed(joiner_);
  }
  void feed(std::string_view part) {
    hash_.add(part);
    stream_->feed(part, ids_);
  }

  std::unique_ptr<EncodingStream> stream_;
  const std::string joiner_;
  base::Sha256 hash_;
  std::vector<TokenId> ids_;
  bool any_ = false, in_text_ = false;
};

absl::StatusOr<Windows> JoinedIds::cut(const WindowOptions& options) && {
  stream_->finish(ids_);
  const std::vector<TokenId>& stream = ids_;
  Windows windows;
  windows.length = options.length;
  windows.stream_tokens = static_cast<int64_t>(stream.size());
  windows.text_sha256 = hash_.hex();
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

absl::Status check_options(const WindowOptions& options) {
  if (options.length >= 1 && options.limit >= 0) return absl::OkStatus();
  return base::invalid_argument("windows of length ", options.length, ", at most ", options.limit,
                                ": both must be positive (0 windows = all)");
}

}  // namespace

absl::StatusOr<Windows> make_windows(const std::vector<Example>& examples,
                                     const Tokenizer& tokenizer, const WindowOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check_options(options));
  JoinedIds ids(tokenizer, options.joiner);
  for (const Example& example : examples) FRUGAL_RETURN_IF_ERROR(ids.take(example).status());
  return std::move(ids).cut(options);
}

absl::StatusOr<Windows> make_windows(const DataSource& source, const Tokenizer& tokenizer,
                                     const WindowOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check_options(options));
  JoinedIds ids(tokenizer, options.joiner);
  FRUGAL_RETURN_IF_ERROR(stream_examples(source, tokenizer, ids));
  return std::move(ids).cut(options);
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
