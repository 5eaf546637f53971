#include "artifact/gguf/file_type.h"

#include <algorithm>
#include <array>
#include <map>

#include "artifact/gguf/mix.h"

namespace frugal::artifact {
namespace {

struct FileType {
  std::string_view name;
  uint32_t number;
};

// enum llama_ftype (llama.h). A type that fills all layers is the smallest mix around it: Q2_K_S
// rather than Q2_K, whose matrices have more bits in part.
constexpr std::array kTypes = {
    FileType{"F32", 0},     FileType{"F16", 1},     FileType{"q4_0", 2},  FileType{"q4_1", 3},
    FileType{"q8_0", 7},    FileType{"q5_0", 8},    FileType{"q5_1", 9},  FileType{"q2_k", 21},
    FileType{"q3_k", 11},   FileType{"q4_k", 14},   FileType{"q5_k", 16}, FileType{"q6_k", 18},
    FileType{"iq4_nl", 25}, FileType{"iq4_xs", 30}, FileType{"BF16", 32}, FileType{"tq2_0", 37},
    FileType{"mxfp4", 38},  FileType{"nvfp4", 39},  FileType{"q2_0", 41}};
constexpr std::array kMixes = {
    FileType{"q2_k_s", 21}, FileType{"q2_k_m", 10}, FileType{"q3_k_s", 11},
    FileType{"q3_k_m", 12}, FileType{"q3_k_l", 13}, FileType{"q4_k_s", 14},
    FileType{"q4_k_m", 15}, FileType{"q5_k_s", 16}, FileType{"q5_k_m", 17}};

uint32_t number_of(std::string_view type) {
  type = type.substr(0, type.find(':'));  // whatever the tensor scale
  const auto found = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const FileType& entry) { return entry.name == type; });
  return found == kTypes.end() ? 0 : found->number;
}

}  // namespace

uint32_t gguf_file_type(const std::vector<StoredMatrix>& matrices,
                        const architecture::ModelConfig& config) {
  std::map<std::string_view, int64_t> elements;
  for (const StoredMatrix& matrix : matrices) elements[matrix.type] += matrix.elements;
  if (elements.empty()) return 0;
  if (elements.size() == 1) return number_of(elements.begin()->first);
  for (const FileType& mix : kMixes) {
    const bool fits = std::all_of(matrices.begin(), matrices.end(), [&](const StoredMatrix& m) {
      return fitting_grid(layer_grid(mix.name, m.role, m.layer, config), m.columns) == m.type;
    });
    if (fits) return mix.number;
  }
  const auto most = std::max_element(elements.begin(), elements.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  return number_of(most->first);
}

}  // namespace frugal::artifact
