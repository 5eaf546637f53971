// Any text as a config.json: a value or an error; what is accepted is written and read back to the
// same text.
#include "architecture/model_config.h"
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace frugal;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = base::parse_json(text, "fuzz");
  if (!json.ok()) return 0;
  const auto config = architecture::parse_model_config(*json, "fuzz");
  if (!config.ok()) return 0;
  const base::Json written = architecture::to_json(*config);
  const auto back = architecture::parse_model_config(written, "written");
  if (!back.ok() || architecture::to_json(*back) != written || config->parameter_count() <= 0)
    __builtin_trap();
  return 0;
}
