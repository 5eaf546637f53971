#include "passes/common/text_checks.h"

#include "base/text.h"

namespace frugal::passes {

absl::StatusOr<std::shared_ptr<const text::Tokenizer>> planned_tokenizer(
    const pass::ModelInfo& model, std::string_view pass) {
  if (model.tokenizer_folder.empty()) return std::shared_ptr<const text::Tokenizer>();
  FRUGAL_ASSIGN_OR_RETURN(auto tokenizer, text::shared_tokenizer(model.tokenizer_folder));
  FRUGAL_RETURN_IF_ERROR(text::check_fits(*tokenizer, model.config.vocabulary_size, pass));
  return tokenizer;
}

absl::Status check_examples(const text::DataSource& source, const text::Tokenizer* tokenizer,
                            std::string_view what) {
  FRUGAL_RETURN_IF_ERROR(base::annotate(text::check_has_examples(source), what));
  if (!source.chat) return absl::OkStatus();
  if (tokenizer == nullptr) {
    return base::invalid_argument(what, ": the data has `chat: true`, and a tokenizer that is ",
                                  "trained here has no chat template; leave `chat` out");
  }
  text::DataSource first = source;
  first.limit = 1;
  return base::annotate(text::load_examples(first, *tokenizer).status(), what);
}

absl::Status check_fills_window(const text::DataSource& source, const text::Tokenizer* tokenizer,
                                int64_t length, std::string_view what) {
  for (const text::MixPart& part : source.mix) {
    FRUGAL_RETURN_IF_ERROR(check_fills_window(*part.source, tokenizer, length,
                                              base::str_cat(what, ": '", part.name, "'")));
  }
  if (!source.mix.empty() || source.self) return absl::OkStatus();
  FRUGAL_RETURN_IF_ERROR(check_examples(source, tokenizer, what));
  if (tokenizer == nullptr || length < 1) return absl::OkStatus();
  const text::WindowOptions one{.length = length, .limit = 1};
  // Few tokens are longer than this, and the first bytes nearly always fill a window.
  constexpr int64_t kBytesPerToken = 16;
  FRUGAL_ASSIGN_OR_RETURN(const text::ExampleHead head,
                          text::first_examples(source, *tokenizer, kBytesPerToken * length));
  absl::Status status = text::make_windows(head.examples, *tokenizer, one).status();
  if (!status.ok() && !head.all) {
    status = text::make_windows(source, *tokenizer, one).status();
  }
  return base::annotate(status, what);
}

void warn_of_fewer_windows(pass::RunContext& context, std::string_view pass,
                           const text::Windows& windows, int64_t asked) {
  if (asked <= windows.count) return;
  context.warn(base::str_cat(pass, ": the text fills ", windows.count, " windows of ",
                             windows.length, " tokens, ", asked, " were asked for"));
}

}  // namespace frugal::passes
