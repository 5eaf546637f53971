#include "model/architecture.h"

#include <array>
#include <memory>
#include <set>
#include <utility>

#include "base/text.h"
#include "model/decoder.h"
#include "model/llama.h"

namespace frugal::model {
namespace {

struct Architecture {
  std::string_view name;  // as in config.json's "architectures"
  std::vector<Stage> (*stages)();
  absl::StatusOr<std::shared_ptr<const LayerRunner>> (*runner)(const format::ModelConfig& config);
};

// Every architecture that frugal runs: one line each.
constexpr std::array kArchitectures = {
    Architecture{"LlamaForCausalLM", llama_stages, llama_runner},
    Architecture{"MistralForCausalLM", llama_stages, llama_runner},
};

absl::StatusOr<Architecture> find_architecture(std::string_view name) {
  std::vector<std::string> known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return architecture;
    known.emplace_back(architecture.name);
  }
  return base::unimplemented("no forward for architecture '", name, "'",
                             base::suggestion(name, known));
}

}  // namespace

absl::StatusOr<std::vector<Stage>> stages(const format::ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const Architecture architecture, find_architecture(config.architecture));
  return architecture.stages();
}

absl::StatusOr<std::shared_ptr<const LayerRunner>> layer_runner(const format::ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const Architecture architecture, find_architecture(config.architecture));
  return architecture.runner(config);
}

absl::StatusOr<StreamUses> stream_uses(const format::ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Stage> layer_stages, stages(config));
  std::map<std::string, size_t, std::less<>> dimensions;
  for (const format::ExpectedTensor& tensor : format::expected_tensors(config)) {
    dimensions.emplace(tensor.name, tensor.shape.size());
  }
  StreamUses uses = {{std::string(kEmbedding), StreamUse::kReads},
                     {std::string(kFinalNorm), StreamUse::kGains}};
  if (!config.tied_embeddings) uses.emplace(kHead, StreamUse::kReads);
  std::set<std::string, std::less<>> matrices;  // those that have nothing to do with it among them
  for (int64_t layer = 0; layer < config.layer_count; ++layer) {
    for (const Stage& stage : layer_stages) {
      if (stage.input_scale.empty()) {
        return base::unimplemented(config.architecture, " does not say what stage ", stage.name,
                                   " reads");
      }
      const std::string source = weight_name(layer, stage.input_scale);
      const auto found = dimensions.find(source);
      const bool reads = found != dimensions.end() && found->second == 1;
      if (reads) uses.emplace(source, StreamUse::kGains);
      for (const std::string& matrix : stage.matrices) {
        const std::string& name = *matrices.insert(weight_name(layer, matrix)).first;
        if (reads || stage.writes_residual)
          uses.emplace(name, reads ? StreamUse::kReads : StreamUse::kWrites);
      }
    }
  }
  for (const auto& [name, rank] : dimensions) {
    if (uses.contains(name) || matrices.contains(name)) continue;
    return base::unimplemented(config.architecture, " has '", name,
                               "', and what it does with the residual stream is not known");
  }
  return uses;
}

std::string weight_name(int64_t layer, std::string_view matrix) {
  return base::str_cat("model.layers.", layer, ".", matrix, ".weight");
}

absl::StatusOr<std::vector<std::string>> decoder_matrices(const format::ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Stage> layer_stages, stages(config));
  std::vector<std::string> names;
  for (int64_t layer = 0; layer < config.layer_count; ++layer) {
    for (const Stage& stage : layer_stages) {
      for (const std::string& matrix : stage.matrices) names.push_back(weight_name(layer, matrix));
    }
  }
  return names;
}

}  // namespace frugal::model
