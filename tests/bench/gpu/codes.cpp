#include "base/text.h"
#include "figures.h"
#include "format/checkpoint.h"
#include "parts.h"

namespace frugal::bench {
namespace {

struct Equal {
  int64_t codes = 0, all_codes = 0, parameters = 0, all_parameters = 0;
};

template <typename T>
int64_t count_equal(const std::vector<T>& a, const std::vector<T>& b) {
  int64_t equal = 0;
  for (size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i] ? 1 : 0;
  return equal;
}

absl::Status add_matrix(const format::Checkpoint& a, const format::Checkpoint& b,
                        const std::string& name, Equal& equal) {
  FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix left, a.codes(name));
  FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix right, b.codes(name));
  if (left.grid->spec().name != right.grid->spec().name || left.rows != right.rows ||
      left.columns != right.columns) {
    return base::failed(name, " is ", left.rows, " x ", left.columns, " on ",
                        left.grid->spec().name, " in ", a.folder().string(), " and ", right.rows,
                        " x ", right.columns, " on ", right.grid->spec().name, " in ",
                        b.folder().string());
  }
  equal.codes += count_equal(left.codes, right.codes);
  equal.all_codes += static_cast<int64_t>(left.codes.size());
  equal.parameters += count_equal(left.parameters, right.parameters);
  equal.all_parameters += static_cast<int64_t>(left.parameters.size());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> compare_codes(const std::string& a, const std::string& b, double least) {
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint left, format::Checkpoint::open(a));
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint right, format::Checkpoint::open(b));
  if (left.quantized().empty() || left.quantized().size() != right.quantized().size()) {
    return base::failed("cannot compare codes: ", a, " has ", left.quantized().size(),
                        " quantized matrices, ", b, " has ", right.quantized().size());
  }
  Equal equal;
  for (const auto& [name, entry] : left.quantized())
    FRUGAL_RETURN_IF_ERROR(add_matrix(left, right, name, equal));
  const auto share = [](int64_t some, int64_t all) {
    return static_cast<double>(some) / static_cast<double>(all);
  };
  const double codes = share(equal.codes, equal.all_codes);
  const bool passed =
      judged("equal codes", codes, "share", codes >= least,
             base::str_cat("of ", equal.all_codes, " codes; at least ", digits(least)));
  figure("equal bytes of scales", share(equal.parameters, equal.all_parameters), "share");
  return passed;
}

}  // namespace frugal::bench
