// Any text as a chat template: a text of bounded size, or an error; never more steps or memory than
// the limits allow.
#include <cstdlib>

#include "base/text.h"
#include "chat/template.h"

namespace {

using frugal::base::Json;

const frugal::chat::Conversation& conversation() {
  static const auto* made = new frugal::chat::Conversation{
      .messages =
          {{{"role", "system"}, {"content", " Be kind. "}},
           {{"role", "user"}, {"content", "Hé, 日本?"}},
           {{"role", "assistant"},
            {"content", "<think>x</think>y"},
            {"tool_calls",
             {{{"id", "abcdefghi"},
               {"type", "function"},
               {"function", {{"name", "f"}, {"arguments", {{"a", 1}, {"b", {1.5, true}}}}}}}}}},
           {{"role", "tool"}, {"tool_call_id", "abcdefghi"}, {"content", {{{"text", "3"}}}}},
           {{"role", "user"}, {"content", ""}}},
      .tools = {{{"type", "function"},
                 {"function",
                  {{"name", "f"},
                   {"description", "d"},
                   {"parameters",
                    {{"type", "object"}, {"properties", {{"a", {{"type", "integer"}}}}}}}}}}},
      .add_generation_prompt = true,
      .variables = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"n", 3}, {"l", {3, 1, 2}}}};
  return *made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace frugal;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto made = chat::Template::parse(source, "fuzz");
  if (!made.ok()) return 0;
  const chat::Limits limits{
      .steps = 300'000, .value_bytes = int64_t{32} << 20, .output_bytes = int64_t{1} << 20};
  std::tm now{};
  now.tm_year = 124;
  now.tm_mday = 1;
  const auto text = made->render(conversation(), {.limits = limits, .now = now});
  if (!text.ok()) return 0;
  // What came out is a text within its bound, and what is marked lies in it.
  if (static_cast<int64_t>(text->text.size()) > limits.output_bytes) std::abort();
  if (!base::is_valid_utf8(text->text)) std::abort();
  for (const chat::Span span : text->generated) {
    if (span.begin > span.end || span.end > text->text.size()) std::abort();
  }
  return 0;
}
