// Datasets: what a pipeline's `data:` section names, as examples (prompt, completion, label) or as
// plain text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/tokenizer.h"

namespace frugal::text {

struct DataSource;

// One of several sources of a mixture.
struct MixPart {
  std::string name;  // of the source, for messages
  double weight = 1;
  std::shared_ptr<const DataSource> source;  // no mixture itself
};

// Where examples come from. Exactly one of text, jsonl, table, builtin, mix, self, task_file is
// set.
struct DataSource {
  std::vector<std::string> text;  // files or globs: plain text, one document each
  std::string jsonl;              // one object per line
  std::string table;              // TSV with a header line
  std::string builtin;            // "storefront"
  std::vector<MixPart> mix;       // calibration only: windows of each, by weight
  bool self = false;              // calibration only: the model writes the text itself
  std::string task_file;          // evaluation only: questions of a task file (lib/tasks)
  std::string folder;             // task_file only: of its documents; empty: beside it
  // task_file only: the files that it includes and that its documents are in.
  std::vector<std::string> task_inputs;
  std::string split;       // builtin only: train, calibration, validation, test
  std::string task;        // builtin only: "sentiment", "description"; empty = both, mixed
  std::string prompt;      // template: "{sentence}\nSentiment:"
  std::string completion;  // template: " {label}"
  bool chat = false;   // through the model's chat template: turns of a record, or prompt and answer
  std::string system;  // chat only: the system turn of conversations without one; empty: none
  std::map<std::string, std::string> labels;  // raw label -> text, for classification
  int64_t limit = 0;                          // examples at most; 0 = all
  int64_t tokens = 0;                         // tokens at most (packed use); 0 = all
  int64_t sequence_length = 0;                // window, tokens; 0 = the consumer's default
  uint64_t seed = 1;                          // builtin and self only
};

struct Example {
  std::string id;          // stable: "storefront/test/17"
  std::string prompt;      // empty for plain text
  std::string completion;  // the text to learn or score
  std::string label;  // classification: equals `completion`, one of label_texts; empty otherwise
  std::vector<std::string>
      label_texts;  // classification: every candidate completion, in a fixed order
  std::vector<std::string>
      attributes;  // generation: words or phrases that a good completion mentions
  // Prompt and completion are what a chat template made: special tokens are in their text, and none
  // are put around it.
  bool chat = false;
  // Chat only: bytes [begin, end) of `prompt` that are answers, too.
  std::vector<std::pair<size_t, size_t>> earlier_answers;
};

// Where examples go, one by one. A plain text comes in parts, so that no file has to be in memory.
class ExampleSink {
 public:
  virtual ~ExampleSink() = default;
  // A whole example. False: enough.
  virtual absl::StatusOr<bool> take(Example example) = 0;
  // The next part of a plain text, and its end, with its `Example::id`. False: enough.
  virtual absl::Status take_part(std::string_view part) = 0;
  virtual absl::StatusOr<bool> end_text(std::string id) = 0;
};

// Gives every example of `source` to `sink`, in order. `tokenizer`: of the model that they are for;
// its chat template is used where the source is `chat`. Errors: those of load_examples, and the
// sink's.
absl::Status stream_examples(const DataSource& source, const Tokenizer& tokenizer,
                             ExampleSink& sink);

// Loads (paths already absolute). Errors: missing file or column, template names unknown to the
// data, empty result, invalid UTF-8, with file and line; a chat without a template, and what the
// template refuses.
absl::StatusOr<std::vector<Example>> load_examples(const DataSource& source,
                                                   const Tokenizer& tokenizer);

// The same without a model, for sources that are not `chat`.
absl::Status stream_examples(const DataSource& source, ExampleSink& sink);
absl::StatusOr<std::vector<Example>> load_examples(const DataSource& source);

// Errors of the source by itself, whatever its files hold: not exactly one kind of data, a negative
// limit, unknown builtin data; of a mixture those of its parts, weights that are not positive, and
// options that only examples or the whole have.
absl::Status check_source(const DataSource& source);

// Whether `source` has examples. Errors: it is a mixture or the model's own text, which only
// calibration takes.
absl::Status check_has_examples(const DataSource& source);

// The files of the source, globs expanded, in reading order, those of a mixture's parts behind each
// other; empty for data that is made. Errors: a pattern that matches nothing.
absl::StatusOr<std::vector<std::filesystem::path>> data_files(const DataSource& source);

// The first examples, of about `bytes` bytes together (the last text may be cut there), and whether
// they are all. Reads no more of plain text than that. Errors: those of load_examples.
struct ExampleHead {
  std::vector<Example> examples;
  bool all = false;
};
absl::StatusOr<ExampleHead> first_examples(const DataSource& source, const Tokenizer& tokenizer,
                                           int64_t bytes);

// Whether the files are of a form that load_examples reads and their first record fits the
// templates: what a plan can say from their beginnings, of any model. Errors: those of
// load_examples.
absl::Status check_data(const DataSource& source);

// Hash of the content the source yields (file bytes, or generator version + seed), for cache keys.
// Of a mixture: of its parts and their weights.
absl::StatusOr<std::string> content_hash(const DataSource& source);

// An example as ids. The boundary between prompt and completion is the longest common start of the
// ids of the prompt alone and of both together, so that a piece that spans the boundary belongs to
// the completion.
struct EncodedExample {
  std::vector<TokenId> ids;  // prompt and completion, without special tokens
  int64_t prompt_tokens = 0;
  std::vector<std::pair<int64_t, int64_t>> earlier_answers;  // tokens [begin, end) of the prompt
};
EncodedExample encode_example(const Tokenizer& tokenizer, const Example& example);
EncodedExample encode_example(const Tokenizer& tokenizer, std::string_view prompt,
                              std::string_view completion);

// The texts of examples behind each other, `joiner` between them where no chat template says how
// they end.
std::string join_examples(const std::vector<Example>& examples, std::string_view joiner);

// Disjoint windows of one token stream for calibration and perplexity: documents are joined by
// `joiner` (join_examples), tokenized once, cut into windows of `length`, `limit` of them at most
// (0 = all), spread evenly over the stream. A tail shorter than a window is dropped. Errors: fewer
// tokens than one window (says how many there are).
struct WindowOptions {
  int64_t length = 2048;
  int64_t limit = 0;
  std::string joiner = "\n\n";
  bool spread = false;  // false: the first windows; true: evenly spaced over the stream
};
struct Windows {
  int64_t count = 0;
  int64_t length = 0;
  std::vector<TokenId> ids;   // [count, length]
  std::string text_sha256;    // of the joined text
  int64_t stream_tokens = 0;  // before cutting
};
absl::StatusOr<Windows> make_windows(const std::vector<Example>& examples,
                                     const Tokenizer& tokenizer, const WindowOptions& options);
// The same of a source, whose texts are never whole in memory: their ids are, four bytes a token.
absl::StatusOr<Windows> make_windows(const DataSource& source, const Tokenizer& tokenizer,
                                     const WindowOptions& options);

// `count` of the windows, evenly spaced; all where there are no more.
Windows some_windows(const Windows& all, int64_t count);

}  // namespace frugal::text
