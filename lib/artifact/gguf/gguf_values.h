// Values of a GGUF file's metadata by the type that a reader wants, whatever width the file has:
// writers differ, and what does not fit is an error that names the key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/gguf.h"

namespace frugal::artifact {

// 1e-05, which was rounded to fp32 on its way into the file, and not 9.999999747378752e-06.
double shortest_decimal(float value);

class GgufValues {
 public:
  // `where` begins every message. The file must outlive the object.
  GgufValues(const format::GgufFile& file, std::string where)
      : file_(&file), where_(std::move(where)) {}
  const std::string& where() const { return where_; }
  const format::GgufFile& file() const { return *file_; }

  // Absent keys are nullopt. Errors: another type than the asked one, a number outside of int64.
  absl::StatusOr<std::optional<int64_t>> integer(std::string_view key) const;
  absl::StatusOr<std::optional<double>> number(std::string_view key) const;  // fp32: its shortest
                                                                             // decimal
  absl::StatusOr<std::optional<bool>> boolean(std::string_view key) const;
  absl::StatusOr<std::optional<std::string>> text(std::string_view key) const;
  // Arrays of any type of integers or of booleans.
  absl::StatusOr<std::optional<std::vector<int64_t>>> integers(std::string_view key) const;
  // In place; null where the key is absent. Errors: another type.
  absl::StatusOr<const std::vector<std::string>*> texts(std::string_view key) const;
  absl::StatusOr<const std::vector<float>*> floats(std::string_view key) const;

 private:
  absl::Status wrong(std::string_view key, std::string_view expected) const;
  const format::GgufFile* file_;
  std::string where_;
};

}  // namespace frugal::artifact
