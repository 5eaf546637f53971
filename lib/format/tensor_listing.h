// The tensors of a file or folder with their sums: what every inspection shows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/json.h"

namespace frugal::format {

class TensorListing {
 public:
  // `parameters` counts numbers (packed ones unpacked), `bytes` what they are stored in.
  void add(std::string_view name, base::Json shape, const std::string& type, int64_t parameters,
           int64_t bytes);
  // The members that every kind shares (inspect.h), in its order.
  base::Json describe(std::string_view kind, const std::filesystem::path& path,
                      base::Json architecture) &&;

 private:
  struct Sum {
    int64_t tensors = 0;
    int64_t parameters = 0;
    int64_t bytes = 0;
  };
  base::Json tensors_ = base::Json::array();
  std::map<std::string, Sum> sums_;  // by type
};

}  // namespace frugal::format
