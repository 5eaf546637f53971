// frugal inspect: what is in a file or folder, from its headers alone.
#include <cstdio>

#include "artifact/importer.h"
#include "pass/table.h"
#include "session.h"

namespace frugal::tool {
namespace {

constexpr size_t kLongestValue = 100;

std::string value_text(const base::Json& value) {
  std::string text = value.is_string()
                         ? value.get<std::string>()
                         : value.dump(-1, ' ', false, base::Json::error_handler_t::replace);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';  // nothing of a file moves the cursor
  }
  if (text.size() <= kLongestValue) return text;
  size_t end = kLongestValue;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

std::string fact_text(const std::string& key, const base::Json& value) {
  if (value.is_null()) return "unknown";
  if (key == "parameters") return base::format_count(value.get<int64_t>());
  if (key == "weight_bytes") {
    return base::str_cat(base::format_count(value.get<int64_t>()), " (",
                         base::format_bytes(value.get<double>()), ")");
  }
  return value_text(value);
}

void print_facts(const base::Json& inspection) {
  pass::Table facts({"", ""});
  for (const auto& [key, value] : inspection.items()) {
    if (value.is_object() || key == "tensors") continue;
    if (key == "import") {
      for (const base::Json& line : value) facts.row({key, value_text(line)});
    } else {
      facts.row({key, fact_text(key, value)});
    }
  }
  for (const char* group : {"quantization", "metadata", "provenance"}) {
    const base::Json values = inspection.value(group, base::Json::object());
    for (const auto& [key, value] : values.items()) {
      facts.row({base::str_cat(group, ".", key), value_text(value)});
    }
  }
  std::fputs(facts.text().substr(1).c_str(), stdout);  // without the line of the empty header
}

void print_tensors(const base::Json& inspection) {
  pass::Table types({"type", "tensors", "parameters", "bytes"});
  types.align_right({1, 2, 3});
  const base::Json by_type = inspection.value("types", base::Json::object());
  for (const auto& [type, sums] : by_type.items()) {
    types.row({type, value_text(sums["tensors"]),
               base::format_count(sums["parameters"].get<int64_t>()),
               base::format_count(sums["bytes"].get<int64_t>())});
  }
  pass::Table tensors({"tensor", "type", "shape", "bytes"});
  tensors.align_right({3});
  for (const base::Json& tensor : inspection.value("tensors", base::Json::array())) {
    tensors.row({value_text(tensor["name"]), value_text(tensor["type"]), tensor["shape"].dump(),
                 base::format_count(tensor["bytes"].get<int64_t>())});
  }
  std::printf("\n%s\n%s", types.text().c_str(), tensors.text().c_str());
}

}  // namespace

int inspect_path(const std::string& path, bool json) {
  const auto inspection = artifact::inspect(path);
  if (!inspection.ok()) {
    return fail(base::as_std(inspection.status().message()),
                absl::IsNotFound(inspection.status()) ? pass::kExitUsage : pass::kExitFailed);
  }
  if (json) {
    std::printf("%s\n", inspection->dump(1).c_str());
  } else {
    print_facts(*inspection);
    print_tensors(*inspection);
  }
  return pass::kExitDone;
}

}  // namespace frugal::tool
