// A small strict reader for the configuration files of this room: keys are asked for by name and
// type, what was not asked for is an error, and all errors of a file are reported together.
// Private: yaml-cpp stays in the source.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace frugal::energy {

// One mapping of a file. Reading never fails at once: errors gather in the document, `finish`
// reports them.
class StrictMap {
 public:
  // Errors (in finish): not YAML, not a mapping, a key that stands twice.
  static StrictMap parse(std::string_view text, std::string_view where);

  std::string text(std::string_view key);  // required, not empty
  std::string text_or(std::string_view key, std::string_view fallback);
  // What a number outside of its range was probably meant to be: "kilograms? Then it is 380".
  // Empty: nothing comes to mind.
  using Slip = std::function<std::string(double)>;
  double number(std::string_view key, double low, double high,
                const Slip& slip = {});  // required, in [low, high]
  std::optional<double> number_or_none(std::string_view key, double low, double high,
                                       const Slip& slip = {});
  int64_t integer(std::string_view key, int64_t low, int64_t high);
  std::optional<int64_t> integer_or_none(std::string_view key, int64_t low, int64_t high);
  std::string choice(std::string_view key, const std::vector<std::string>& choices);
  StrictMap map(std::string_view key);  // required
  std::optional<StrictMap> map_or_none(std::string_view key);

  // Every key that stands here, in the order of the file: for mappings whose keys are names.
  std::vector<std::string> keys() const;

  // An error at this mapping, or at the place of `key` in it.
  void complain_of(std::string_view key, std::string_view message);
  void complain(std::string_view message);

  // Every key that was never asked for is an error, here and in the mappings below. Call it on the
  // outermost one.
  absl::Status finish();

 private:
  struct Document;
  struct Node;
  StrictMap(std::shared_ptr<Document> document, std::shared_ptr<Node> node);
  const std::string* scalar(std::string_view key, bool required);

  std::shared_ptr<Document> document_;
  std::shared_ptr<Node> node_;
};

}  // namespace frugal::energy
