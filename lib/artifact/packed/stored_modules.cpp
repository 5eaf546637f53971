// Tested by: tests/artifact/packed_importer_test.cpp
#include "artifact/packed/stored_modules.h"

#include <map>

namespace frugal::artifact {

const std::string& stored_name(const architecture::Tensor& part) {
  return part.slice ? part.slice->name : part.name;
}

std::vector<StoredModule> stored_modules(const architecture::ModelConfig& config) {
  constexpr std::string_view kWeight = ".weight";
  std::vector<StoredModule> modules;
  std::map<std::string, size_t> known;
  for (const architecture::Tensor& tensor : architecture::tensors(config)) {
    const std::string& name = stored_name(tensor);
    const auto [place, is_new] = known.emplace(name, modules.size());
    if (is_new) {
      const std::vector<int64_t>& shape = tensor.slice ? tensor.slice->shape : tensor.shape;
      StoredModule stored{.module = {.name = name, .role = tensor.role}};
      if (name.ends_with(kWeight)) stored.module.name.resize(name.size() - kWeight.size());
      if (shape.size() == 2) {
        stored.module.rows = shape[0];
        stored.module.columns = shape[1];
      }
      modules.push_back(std::move(stored));
    }
    modules[place->second].parts.push_back(tensor);
  }
  return modules;
}

}  // namespace frugal::artifact
