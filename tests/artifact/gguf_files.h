// GGUF files that say what a test wants: metadata and tensors of one file, changed, as another.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "format/gguf.h"
#include "support/shared_data.h"

namespace frugal::test {

struct GgufContent {
  struct Tensor {
    format::GgufWriter::Declaration declaration;
    std::vector<std::byte> bytes;
  };
  std::vector<std::pair<std::string, format::GgufValue>> metadata;
  std::vector<Tensor> tensors;

  format::GgufValue& value(const std::string& key) {
    for (auto& [name, value] : metadata) {
      if (name == key) return value;
    }
    return metadata.emplace_back(key, uint32_t{0}).second;
  }
  void erase(const std::string& key) {
    std::erase_if(metadata, [&](const auto& item) { return item.first == key; });
  }
  Tensor& tensor(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(),
                         [&](const Tensor& t) { return t.declaration.name == name; });
  }
};

inline GgufContent read_gguf(const std::filesystem::path& path) {
  const auto file = format::GgufFile::open(path).value();
  GgufContent content;
  content.metadata = file.metadata();
  for (const format::GgufTensor& tensor : file.tensors()) {
    const auto bytes = file.bytes(tensor);
    content.tensors.push_back(
        {{tensor.name, tensor.shape, tensor.type}, {bytes.begin(), bytes.end()}});
  }
  return content;
}

// Bytes are cut or filled with zeros where a test has changed a tensor's shape or type.
inline void write_gguf_content(const std::filesystem::path& path, const GgufContent& content) {
  std::vector<format::GgufWriter::Declaration> declarations;
  for (const auto& tensor : content.tensors) declarations.push_back(tensor.declaration);
  auto writer = format::GgufWriter::create(path, content.metadata, declarations);
  FRUGAL_ASSERT_OK(writer);
  for (const auto& tensor : content.tensors) {
    std::vector<std::byte> bytes = tensor.bytes;
    bytes.resize(static_cast<size_t>(
        format::gguf_size_bytes(tensor.declaration.type, tensor.declaration.shape).value()));
    FRUGAL_ASSERT_OK(writer->write(tensor.declaration.name, bytes));
  }
  FRUGAL_ASSERT_OK(writer->commit());
}

}  // namespace frugal::test
