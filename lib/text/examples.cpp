#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/file_kind.h"
#include "text/chat_format.h"
#include "text/data_file.h"
#include "text/dataset.h"
#include "text/records.h"
#include "text/storefront.h"
#include "text/template.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;

// Turns "\r\n" into "\n", also where a part ends between them.
class UnixLineEnds {
 public:
  std::string apply(std::string_view part) {
    std::string out;
    out.reserve(part.size() + 1);
    for (const char c : part) {
      if (std::exchange(held_, c == '\r') && c != '\n') out.push_back('\r');
      if (c != '\r') out.push_back(c);
    }
    return out;
  }
  std::string finish() { return std::exchange(held_, false) ? "\r" : ""; }

 private:
  bool held_ = false;  // a '\r' whose neighbor is not known yet
};

std::string with_unix_line_ends(std::string_view text) {
  UnixLineEnds ends;
  std::string out = ends.apply(text);
  return out += ends.finish();
}

// A file whose name and whose content both say that it holds records is not meant to be read with
// its brackets as text.
absl::Status refuse_records(std::string_view head, const fs::path& file) {
  const fs::path name = base::suffix_of(file) == ".gz" ? file.stem() : file;
  const std::string suffix = base::suffix_of(name);
  const DataForm form = data_form(head, file);
  const bool json = suffix == ".json" || suffix == ".jsonl" || suffix == ".ndjson";
  const bool table = suffix == ".csv" || suffix == ".tsv";
  if ((!json || (form != DataForm::kJsonLines && form != DataForm::kJsonArray)) &&
      (!table || form != DataForm::kTable))
    return absl::OkStatus();
  return base::invalid_argument(file.string(), ": holds records (", json ? "JSON" : "a table",
                                "), which `text` would read with all their brackets and marks; "
                                "name it under `",
                                json ? "jsonl" : "table",
                                "`, or rename it to .txt if they are the text that is meant");
}

absl::Status refuse_text(bool has_zeros, const fs::path& file) {
  if (has_zeros) {
    return base::invalid_argument(file.string(),
                                  ": not a text: it holds zero bytes; give text, JSON or CSV");
  }
  return base::invalid_argument(
      file.string(), ": not valid UTF-8; convert the file, for example from Latin-1: iconv -f ",
      "ISO-8859-1 -t UTF-8 '", file.filename().string(), "'");
}

absl::Status stream_text(const fs::path& file, ExampleSink& sink) {
  FRUGAL_ASSIGN_OR_RETURN(DataStream stream, DataStream::open(file));
  FRUGAL_RETURN_IF_ERROR(refuse_records(stream.head(), file));
  UnixLineEnds ends;
  std::string window;  // begins with what of the part before is no whole character
  bool valid = true, has_zeros = false;
  for (bool more = true; more;) {
    FRUGAL_ASSIGN_OR_RETURN(more, stream.read(window));
    has_zeros = has_zeros || window.find('\0') != std::string::npos;
    const size_t whole = more ? window.size() - begun_character(window) : window.size();
    const std::string_view part = std::string_view(window).substr(0, whole);
    // Beyond the first damage only zeros are looked for: they say what the file is.
    valid = valid && base::is_valid_utf8(part);
    if (valid) FRUGAL_RETURN_IF_ERROR(sink.take_part(ends.apply(part)));
    window.erase(0, whole);
  }
  if (!valid) return refuse_text(has_zeros, file);
  return sink.take_part(ends.finish());
}

absl::Status stream_texts(const DataSource& source, ExampleSink& sink) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> files, data_files(source));
  int64_t count = 0;
  for (const fs::path& file : files) {
    if (source.limit > 0 && count++ >= source.limit) break;
    FRUGAL_RETURN_IF_ERROR(stream_text(file, sink));
    FRUGAL_ASSIGN_OR_RETURN(const bool more, sink.end_text(file.filename().string()));
    if (!more) break;
  }
  return absl::OkStatus();
}

// Turns records into examples by the source's templates.
class Composer {
 public:
  // `chat`: of a source that is `chat`; null: its conversations are looked at, not rendered.
  static absl::StatusOr<Composer> create(const DataSource& source, const ChatFormat* chat) {
    Composer composer;
    composer.is_chat_ = source.chat;
    composer.chat_ = chat;
    FRUGAL_ASSIGN_OR_RETURN(composer.prompt_, Template::parse(source.prompt));
    FRUGAL_ASSIGN_OR_RETURN(composer.completion_, Template::parse(source.completion));
    composer.labels_ = source.labels;
    composer.implicit_ = source.prompt.empty() && source.completion.empty();
    if (!source.labels.empty() && composer.completion_.fields().size() != 1) {
      return base::invalid_argument("data with labels: the completion template '",
                                    source.completion,
                                    "' must have exactly one field, the label's");
    }
    for (const auto& [raw, text] : source.labels) {
      std::string candidate =
          composer.completion_.fill([&, &t = text](const std::string&) { return t; });
      auto& candidates = composer.candidates_;
      if (std::find(candidates.begin(), candidates.end(), candidate) == candidates.end()) {
        candidates.push_back(std::move(candidate));
      }
    }
    return composer;
  }

  absl::StatusOr<Example> compose(const Record& record) const {
    Example example;
    example.id = fs::path(record.where).filename().string();
    if (is_chat_ && implicit_ && turns_of(record) != nullptr) return compose_turns(record, example);
    if (implicit_) {
      FRUGAL_ASSIGN_OR_RETURN(example, compose_implicit(record, std::move(example)));
      return as_chat(record, std::move(example));
    }
    FRUGAL_ASSIGN_OR_RETURN(example.prompt, fill(prompt_, record, false));
    FRUGAL_ASSIGN_OR_RETURN(example.completion, fill(completion_, record, !labels_.empty()));
    if (!labels_.empty()) {
      example.label = example.completion;
      example.label_texts = candidates_;
    }
    return as_chat(record, std::move(example));
  }

 private:
  absl::StatusOr<Example> compose_turns(const Record& record, Example& example) const {
    FRUGAL_ASSIGN_OR_RETURN(const Dialog dialog, dialog_of(record));
    if (chat_ != nullptr) FRUGAL_RETURN_IF_ERROR(chat_->apply(dialog, example));
    return std::move(example);
  }

  // A chat of one question and its answer, where the source is one.
  absl::StatusOr<Example> as_chat(const Record& record, Example example) const {
    if (!is_chat_) return example;
    if (base::trim(example.prompt).empty() || base::trim(example.completion).empty()) {
      return base::invalid_argument(
          record.where,
          ": `chat` needs a question and its answer, or a list of turns under "
          "'messages'; found ",
          describe_fields(record), "; name them by `prompt` and `completion`");
    }
    if (chat_ == nullptr) return example;
    const Dialog dialog = dialog_of(example.prompt, example.completion);
    FRUGAL_RETURN_IF_ERROR(chat_->apply(dialog, example));
    return example;
  }

  // Without templates: {"text"} is plain text, {"prompt", "completion"} what they say.
  static absl::StatusOr<Example> compose_implicit(const Record& record, Example example) {
    const auto text = record.fields.find("text");
    const auto prompt = record.fields.find("prompt");
    const auto completion = record.fields.find("completion");
    if (text != record.fields.end()) {
      example.completion = text->second;
    } else if (completion != record.fields.end()) {
      if (prompt != record.fields.end()) example.prompt = prompt->second;
      example.completion = completion->second;
    } else {
      return base::invalid_argument(
          record.where,
          ": no field 'text' or 'completion', and no template says what to use; found ",
          describe_fields(record),
          "; map them by `prompt` and `completion` (one-liners: --data-prompt, "
          "--data-completion), for example ",
          suggest_templates(record));
    }
    return example;
  }

  absl::StatusOr<std::string> fill(const Template& pattern, const Record& record,
                                   bool as_label) const {
    for (const std::string& name : pattern.fields()) {
      const auto field = record.fields.find(name);
      if (field == record.fields.end()) {
        return base::invalid_argument(record.where, ": no field '", name,
                                      "' for the template; found ", describe_fields(record));
      }
      if (as_label && !labels_.contains(field->second)) {
        return base::invalid_argument(record.where, ": the label '", field->second,
                                      "' is not among the ", labels_.size(),
                                      " that 'labels' names");
      }
    }
    return pattern.fill([&](const std::string& name) {
      const std::string& value = record.fields.find(name)->second;
      return as_label ? labels_.at(value) : value;
    });
  }

  Template prompt_, completion_;
  std::map<std::string, std::string> labels_;
  std::vector<std::string> candidates_;
  bool implicit_ = false, is_chat_ = false;
  const ChatFormat* chat_ = nullptr;
};

absl::Status stream_records(const DataSource& source, const ChatFormat* chat, ExampleSink& sink) {
  FRUGAL_ASSIGN_OR_RETURN(const Composer composer, Composer::create(source, chat));
  int64_t count = 0;
  const auto take = [&](const Record& record) -> absl::StatusOr<bool> {
    FRUGAL_ASSIGN_OR_RETURN(Example example, composer.compose(record));
    FRUGAL_ASSIGN_OR_RETURN(const bool more, sink.take(std::move(example)));
    return more && (source.limit == 0 || ++count < source.limit);
  };
  return source.jsonl.empty() ? read_table(source.table, take) : read_jsonl(source.jsonl, take);
}

absl::Status stream_builtin(const DataSource& source, const ChatFormat* chat, ExampleSink& sink) {
  FRUGAL_ASSIGN_OR_RETURN(
      std::vector<Example> examples,
      storefront_examples({source.split, source.task, source.limit, source.seed}));
  for (Example& example : examples) {
    if (chat != nullptr)
      FRUGAL_RETURN_IF_ERROR(chat->apply(dialog_of(example.prompt, example.completion), example));
    FRUGAL_ASSIGN_OR_RETURN(const bool more, sink.take(std::move(example)));
    if (!more) break;
  }
  return absl::OkStatus();
}

// Hands everything on, and knows whether there was anything.
class CountingSink final : public ExampleSink {
 public:
  explicit CountingSink(ExampleSink& next) : next_(next) {}
  bool any() const { return any_; }
  absl::StatusOr<bool> take(Example example) override {
    any_ = true;
    return next_.take(std::move(example));
  }
  absl::Status take_part(std::string_view part) override { return next_.take_part(part); }
  absl::StatusOr<bool> end_text(std::string id) override {
    any_ = true;
    return next_.end_text(std::move(id));
  }

 private:
  ExampleSink& next_;
  bool any_ = false;
};

// Keeps everything.
class Collector final : public ExampleSink {
 public:
  absl::StatusOr<bool> take(Example example) override {
    examples_.push_back(std::move(example));
    return true;
  }
  absl::Status take_part(std::string_view part) override {
    text_ += part;
    return absl::OkStatus();
  }
  absl::StatusOr<bool> end_text(std::string id) override {
    examples_.push_back({.id = std::move(id), .completion = std::exchange(text_, "")});
    return true;
  }
  std::vector<Example> examples() && { return std::move(examples_); }

 private:
  std::vector<Example> examples_;
  std::string text_;
};

// `chat`: of a source that is `chat`; null: as Composer::create says.
absl::Status stream(const DataSource& source, const ChatFormat* chat, ExampleSink& sink) {
  FRUGAL_RETURN_IF_ERROR(check_source(source));
  FRUGAL_RETURN_IF_ERROR(check_has_examples(source));
  CountingSink counting(sink);
  FRUGAL_RETURN_IF_ERROR(!source.builtin.empty() ? stream_builtin(source, chat, counting)
                         : !source.text.empty()  ? stream_texts(source, counting)
                                                 : stream_records(source, chat, counting));
  if (counting.any()) return absl::OkStatus();
  return base::invalid_argument(
      "data: '",
      source.text.empty() ? base::str_cat(source.jsonl, source.table) : source.text.front(),
      "' yields no example");
}

}  // namespace

absl::Status stream_examples(const DataSource& source, const Tokenizer& tokenizer,
                             ExampleSink& sink) {
  if (!source.chat) return stream(source, nullptr, sink);
  FRUGAL_ASSIGN_OR_RETURN(const ChatFormat chat,
                          ChatFormat::create(tokenizer.vocabulary().chat, source.system));
  return stream(source, &chat, sink);
}

absl::Status stream_examples(const DataSource& source, ExampleSink& sink) {
  if (!source.chat) return stream(source, nullptr, sink);
  return base::invalid_argument(
      "data with `chat: true` needs a model's chat template, and here no model is read");
}

absl::StatusOr<std::vector<Example>> load_examples(const DataSource& source,
                                                   const Tokenizer& tokenizer) {
  Collector collector;
  FRUGAL_RETURN_IF_ERROR(stream_examples(source, tokenizer, collector));
  return std::move(collector).examples();
}

absl::StatusOr<std::vector<Example>> load_examples(const DataSource& source) {
  Collector collector;
  FRUGAL_RETURN_IF_ERROR(stream_examples(source, collector));
  return std::move(collector).examples();
}

namespace {

// Plain text from the heads of its files.
absl::StatusOr<ExampleHead> first_texts(const DataSource& source, int64_t bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> files, data_files(source));
  ExampleHead head;
  int64_t total = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    if (source.limit > 0 && static_cast<int64_t>(i) >= source.limit) break;
    if (total >= bytes) return head;
    FRUGAL_ASSIGN_OR_RETURN(std::string text, read_data_head(files[i]));
    const bool cut = text.size() >= kDataHeadBytes || base::suffix_of(files[i]) == ".gz";
    total += static_cast<int64_t>(text.size());
    head.examples.push_back(
        {.id = files[i].filename().string(), .completion = with_unix_line_ends(text)});
    if (cut) return head;
  }
  head.all = true;
  return head;
}

}  // namespace

absl::StatusOr<ExampleHead> first_examples(const DataSource& source, const Tokenizer& tokenizer,
                                           int64_t bytes) {
  FRUGAL_RETURN_IF_ERROR(check_source(source));
  FRUGAL_RETURN_IF_ERROR(check_has_examples(source));
  if (!source.text.empty()) return first_texts(source, bytes);
  constexpr int64_t kFirst = 32, kGrowth = 16;
  ExampleHead head;
  for (int64_t limit = kFirst;; limit *= kGrowth) {
    DataSource part = source;
    part.limit = source.limit > 0 ? std::min(source.limit, limit) : limit;
    FRUGAL_ASSIGN_OR_RETURN(head.examples, load_examples(part, tokenizer));
    head.all =
        part.limit == source.limit || static_cast<int64_t>(head.examples.size()) < part.limit;
    int64_t total = 0;
    for (const Example& example : head.examples)
      total += static_cast<int64_t>(example.prompt.size() + example.completion.size());
    if (head.all || total >= bytes) return head;
  }
}

absl::Status check_data(const DataSource& source) {
  FRUGAL_RETURN_IF_ERROR(check_source(source));
  for (const MixPart& part : source.mix)
    FRUGAL_RETURN_IF_ERROR(base::annotate(check_data(*part.source), part.name));
  if (!source.mix.empty() || source.self || !source.builtin.empty() || !source.task_file.empty())
    return absl::OkStatus();
  if (!source.text.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> files, data_files(source));
    for (const fs::path& file : files) {
      FRUGAL_ASSIGN_OR_RETURN(const std::string head, read_data_head(file));
      FRUGAL_RETURN_IF_ERROR(refuse_records(head, file));
    }
    return absl::OkStatus();
  }
  // One record says whether the templates fit; no more is read.
  DataSource first = source;
  first.limit = 1;
  Collector ignored;
  return stream(first, nullptr, ignored);
}

}  // namespace frugal::text
