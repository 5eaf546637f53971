// frugal generate: what a model answers.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/file.h"
#include "base/text.h"
#include "chat/template.h"
#include "format/checkpoint.h"
#include "model/generate.h"
#include "session.h"
#include "text/chat_templates.h"
#include "text/tokenizer.h"

namespace frugal::tool {
namespace {

namespace fs = std::filesystem;
using text::TokenId;

struct Prompt {
  std::vector<TokenId> ids;
  bool chat = false;
};

absl::StatusOr<Prompt> chat_prompt(const GenerateArguments& arguments,
                                   const text::ChatTemplates& templates, const std::string& source,
                                   const text::Tokenizer& tokenizer) {
  FRUGAL_ASSIGN_OR_RETURN(const chat::Template chat,
                          chat::Template::parse(source, "the model's chat template"));
  chat::Conversation conversation{.add_generation_prompt = true};
  for (const auto& [name, value] : templates.variables) conversation.variables[name] = value;
  if (!arguments.system.empty())
    conversation.messages.push_back({{"role", "system"}, {"content", arguments.system}});
  conversation.messages.push_back({{"role", "user"}, {"content", arguments.prompt}});
  FRUGAL_ASSIGN_OR_RETURN(const chat::Rendered rendered, chat.render(conversation));
  return Prompt{.ids = tokenizer.encode(rendered.text, /*add_special=*/false), .chat = true};
}

// Through the chat template where the model has one and --raw does not say otherwise.
absl::StatusOr<Prompt> make_prompt(const GenerateArguments& arguments, const fs::path& folder,
                                   const text::Tokenizer& tokenizer) {
  if (!arguments.raw) {
    FRUGAL_ASSIGN_OR_RETURN(const text::ChatTemplates templates, text::read_chat_templates(folder));
    FRUGAL_ASSIGN_OR_RETURN(const std::string* const source,
                            templates.choose(/*with_tools=*/false));
    if (source != nullptr) return chat_prompt(arguments, templates, *source, tokenizer);
  }
  if (!arguments.system.empty()) {
    return base::invalid_argument(
        "--system is a turn of a chat, but ",
        arguments.raw ? "--raw leaves the chat template out" : "the model has no chat template",
        "; put the text into --prompt");
  }
  return Prompt{.ids = tokenizer.encode(arguments.prompt, /*add_special=*/true)};
}

// What the context leaves for the answer.
absl::StatusOr<int64_t> tokens_left(const architecture::ModelConfig& config, const Prompt& prompt) {
  const auto length = static_cast<int64_t>(prompt.ids.size());
  if (length < config.context_length) return config.context_length - length;
  return base::invalid_argument(
      "the prompt has ", length, " tokens", prompt.chat ? " with its chat template" : "",
      ", but the model's context holds ", config.context_length, "; shorten it");
}

// Prints what comes, character by character, and times it.
class Printer {
 public:
  explicit Printer(std::shared_ptr<const text::Tokenizer> tokenizer)
      : decoder_(std::move(tokenizer)), begin_(Clock::now()), first_(begin_), last_(begin_) {}

  void take(TokenId id) {
    last_ = Clock::now();
    if (count_++ == 0) first_ = last_;
    print(decoder_.push(id));
  }
  void finish() { print(decoder_.finish() + "\n"); }

  // On standard error: the answer alone is standard output.
  void report(size_t prompt_tokens) const {
    const double wait = seconds(first_ - begin_), rest = seconds(last_ - first_);
    std::fprintf(stderr, "%zu tokens in, %lld out; first after %.2f s", prompt_tokens,
                 static_cast<long long>(count_), wait);
    if (count_ > 1 && rest > 0)
      std::fprintf(stderr, ", then %.1f tokens/s", static_cast<double>(count_ - 1) / rest);
    std::fprintf(stderr, "\n");
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }
  static void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  text::StreamingDecoder decoder_;
  Clock::time_point begin_, first_, last_;
  int64_t count_ = 0;
};

absl::Status run(const GenerateArguments& arguments) {
  FRUGAL_ASSIGN_OR_RETURN(const Device device, open_device(arguments.run.device));
  FRUGAL_ASSIGN_OR_RETURN(const fs::path folder, model_folder(arguments.model, arguments.run));
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint checkpoint, format::Checkpoint::open(folder));
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::load_tokenizer(folder));
  FRUGAL_ASSIGN_OR_RETURN(const Prompt prompt, make_prompt(arguments, folder, *tokenizer));
  FRUGAL_ASSIGN_OR_RETURN(const model::Decoder decoder,
                          model::Decoder::load(checkpoint, {.device = at::Device(device.name)}));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t room, tokens_left(decoder.config(), prompt));
  Printer printer(tokenizer);
  FRUGAL_RETURN_IF_ERROR(
      model::generate(decoder, {prompt.ids},
                      {.max_new_tokens = std::min<int64_t>(arguments.max_tokens, room),
                       .temperature = arguments.temperature,
                       .top_p = arguments.top_p,
                       .stop = model::stop_ids(decoder.config(), *tokenizer),
                       .on_token = [&](size_t, TokenId id) { printer.take(id); }},
                      base::RandomStream(static_cast<uint64_t>(arguments.seed), "generate"))
          .status());
  printer.finish();
  if (!arguments.run.quiet) printer.report(prompt.ids.size());
  return absl::OkStatus();
}

}  // namespace

int generate_text(const GenerateArguments& arguments) {
  set_output(arguments.run);
  const absl::Status status = run(arguments);
  if (status.ok()) return pass::kExitDone;
  return fail(base::str_cat("generate: ", base::as_std(status.message())), exit_code(status));
}

}  // namespace frugal::tool
