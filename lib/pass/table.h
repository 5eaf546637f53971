// A plain-text table: columns as wide as their widest cell, two spaces between.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace frugal::pass {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void align_right(std::vector<size_t> columns) { right_ = std::move(columns); }
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<size_t> right_;
};

// Characters of valid UTF-8.
size_t text_width(const std::string& text);

}  // namespace frugal::pass
