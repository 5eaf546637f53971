// Chat templates of Hugging Face models: Jinja, rendered as transformers renders them.
//
// A conversation is what `apply_chat_template` takes; the text that comes out is the same, byte for
// byte. The subset of Jinja is that of chat templates; what lies outside is refused by name, line
// and column. Templates are untrusted: what one rendering may use is bounded (limits.h).
//
//   FRUGAL_ASSIGN_OR_RETURN(const chat::Template chat, chat::Template::parse(source, "SmolLM2"));
//   FRUGAL_ASSIGN_OR_RETURN(const chat::Rendered prompt,
//                           chat.render({.messages = messages, .add_generation_prompt = true,
//                                        .variables = special_tokens}));
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "chat/dialect.h"
#include "chat/limits.h"

namespace frugal::chat {

struct Program;

struct Conversation {
  base::Json messages = base::Json::array();  // objects with "role" and, mostly, "content"
  base::Json tools = nullptr;                 // JSON schemas of functions, or null
  base::Json documents = nullptr;             // objects with "title" and "text", or null
  bool add_generation_prompt = false;
  base::Json variables = base::Json::object();  // others: "bos_token", "date_string", ...
};

struct RenderOptions {
  Limits limits;
  std::optional<std::tm> now;  // local time for strftime_now; absent: the clock's
};

// Bytes [begin, end) of a text.
struct Span {
  size_t begin = 0;
  size_t end = 0;
};

struct Rendered {
  std::string text;
  std::vector<Span> generated;  // what stands between {% generation %} and {% endgeneration %}
};

class Template {
 public:
  // `name` stands in errors. Errors: InvalidArgument for what is no Jinja, Unimplemented for what
  // frugal does not support, ResourceExhausted for what is too large.
  static absl::StatusOr<Template> parse(std::string_view source, std::string_view name,
                                        const Dialect& dialect = {});

  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  // As transformers does, keys of messages that are null are left out, and what a message thinks is
  // found under each of the names that templates have for it. Errors: InvalidArgument for what the
  // template refuses (raise_exception) and what Python would; others as parse.
  absl::StatusOr<Rendered> render(const Conversation& conversation,
                                  const RenderOptions& options = {}) const;

  // With these variables and no others.
  absl::StatusOr<Rendered> render_variables(const base::Json& variables,
                                            const RenderOptions& options = {}) const;

  // Whether it tells what the model says itself, by {% generation %}.
  bool marks_generation() const;
  const std::string& name() const { return name_; }

 private:
  Template(std::unique_ptr<Program> program, std::string_view name);
  absl::Status named(const absl::Status& status) const;

  std::unique_ptr<Program> program_;
  std::string name_;
};

}  // namespace frugal::chat
