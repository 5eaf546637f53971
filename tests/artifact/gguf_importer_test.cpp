// Export and back: what a GGUF file keeps of a checkpoint is all of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "architecture/family.h"
#include "architecture/gguf_names.h"
#include "architecture/tensors.h"
#include "artifact/exact_layout.h"
#include "artifact/gguf/gguf_model.h"
#include "artifact/gguf/gguf_weights_reader.h"
#include "artifact/gguf/hyperparameters.h"
#include "artifact/importer.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/random.h"
#include "gguf_files.h"
#include "model/decoder.h"
#include "support/family_checkpoint.h"
#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;
namespace fs = std::filesystem;
using architecture::ModelConfig;
using format::Checkpoint;

constexpr double kHalfUlp = 0x1p-24;  // of fp32, relative

absl::Status export_to(const fs::path& folder, const fs::path& file) {
  FRUGAL_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::open(folder));
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::load_tokenizer(folder));
  return write_gguf(checkpoint, *tokenizer, "toy", file);
}

absl::StatusOr<Checkpoint> import_to(const fs::path& file, const fs::path& folder) {
  fs::create_directories(folder);
  FRUGAL_RETURN_IF_ERROR(kGgufImporter.write(file, folder).status());
  return Checkpoint::open(folder);
}

// The families that llama.cpp's graphs compute; the others' export refuses them by their windows or
// dense layers.
std::vector<std::string> exported_families() {
  std::vector<std::string> names;
  std::set<std::string> refused;
  for (const std::string& name : golden_families()) {
    const auto config = architecture::parse_model_config(read_family(name).config, name).value();
    if (architecture::gguf_architecture(config).ok()) {
      names.push_back(name);
    } else {
      refused.insert(name);
    }
  }
  EXPECT_EQ(refused, (std::set<std::string>{"mistral", "phi3-window", "qwen2-window",
                                            "qwen3-moe-mixed", "qwen3-moe-stacked"}));
  return names;
}

// The config as a file of llama.cpp can say it: a Mistral without a window is a Llama, and the
// scale of scores is that of its graph, whose rest the gains of query norms take.
void expect_same_config(const ModelConfig& original, const ModelConfig& found) {
  EXPECT_EQ(found.vocabulary_size, original.vocabulary_size);
  EXPECT_EQ(found.hidden_size, original.hidden_size);
  EXPECT_EQ(found.context_length, original.context_length);
  EXPECT_EQ(found.embedding_scale, original.embedding_scale);
  EXPECT_EQ(found.final_norm, original.final_norm);
  EXPECT_EQ(found.tied_embeddings, original.tied_embeddings);
  EXPECT_EQ(found.bos_token_ids, original.bos_token_ids);
  EXPECT_EQ(found.eos_token_ids, original.eos_token_ids);
  EXPECT_EQ(found.logit_rule, original.logit_rule);
  std::vector<architecture::Layer> layers = original.layers;
  for (auto& layer : layers) {
    if (architecture::family_of(original).graph.multipliers) break;  // the file says the scale
    layer.attention.score_scale =
        1 / std::sqrt(static_cast<double>(architecture::gguf_score_width(original)));
  }
  EXPECT_TRUE(found.layers == layers) << architecture::to_json(found).dump(1);
}

// Vectors of norms move by an offset (and queries' by a factor) in fp32 and back, which rounds
// twice; everything else is what it was, bit for bit.
void expect_same_tensors(const Checkpoint& original, const Checkpoint& found) {
  const ModelConfig& config = original.config();
  const double factor = query_gain_factor(config).value();
  ASSERT_EQ(found.tensor_names(), original.tensor_names());
  for (const auto& [name, place] : architecture::places(config)) {
    const double offset = architecture::stored_offset(config, place.role, place.layer);
    const double times = place.role == architecture::Role::kQueryNorm ? factor : 1;
    const std::vector<float> before = original.values(name).value();
    const std::vector<float> after = found.values(name).value();
    ASSERT_EQ(after.size(), before.size()) << name;
    if (offset == 0 && times == 1) {
      ASSERT_EQ(after, before) << name;
      continue;
    }
    for (size_t i = 0; i < before.size(); ++i) {
      const double wanted = (static_cast<double>(before[i]) + offset) * times;
      const double gain = static_cast<double>(after[i]) + offset;
      ASSERT_LE(std::fabs(gain - wanted),
                kHalfUlp * (std::fabs(wanted) + std::fabs(static_cast<double>(after[i]))))
          << name << " " << i;
    }
  }
}

void expect_same_tokenizer(const fs::path& original, const fs::path& found) {
  const auto before = text::load_tokenizer(original).value();
  const auto after = text::load_tokenizer(found).value();
  EXPECT_EQ(after->vocabulary().pieces, before->vocabulary().pieces);
  EXPECT_EQ(after->vocabulary().types, before->vocabulary().types);
  EXPECT_EQ(after->vocabulary().merges, before->vocabulary().merges);
  EXPECT_EQ(after->vocabulary().pre_tokenizer, before->vocabulary().pre_tokenizer);
  for (const char* text : {"the old house, quiet!", " 2024\n\n  rain<|endoftext|>café 🙂", ""})
    EXPECT_EQ(after->encode(text, true), before->encode(text, true)) << text;
}

at::Tensor logits_of(const Checkpoint& checkpoint, const std::vector<int64_t>& ids) {
  at::NoGradGuard no_grad;
  const auto decoder = model::Decoder::load(checkpoint, {}).value();
  return decoder.logits({.ids = at::tensor(ids).unsqueeze(0)});
}

TEST(GgufImporter, EveryFamilyComesBackInFp32) {
  for (const std::string& name : exported_families()) {
    SCOPED_TRACE(name);
    TemporaryFolder folder;
    const FamilyGolden golden = read_family(name);
    write_family(golden, folder.path() / "original");
    FRUGAL_ASSERT_OK(export_to(folder.path() / "original", folder.path() / "x.gguf"));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint found,
                                import_to(folder.path() / "x.gguf", folder.path() / "found"));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint original,
                                Checkpoint::open(folder.path() / "original"));
    expect_same_config(original.config(), found.config());
    expect_same_tensors(original, found);
    expect_same_tokenizer(original.folder(), found.folder());
    const at::Tensor difference =
        logits_of(found, golden.prompts.front()) - logits_of(original, golden.prompts.front());
    EXPECT_LE(difference.abs().max().item<double>(), 1e-4);  // what families are held to
    // And forth again: nothing of the file is new but what rounding moved.
    FRUGAL_ASSERT_OK(export_to(folder.path() / "found", folder.path() / "again.gguf"));
    if (query_gain_factor(original.config()).value() == 1) {
      EXPECT_EQ(read_gguf(folder.path() / "again.gguf").metadata,
                read_gguf(folder.path() / "x.gguf").metadata);
    }
  }
}

// A checkpoint of the family `name` whose rows every grid's blocks divide, its matrices on `grid`.
absl::Status write_wide(const std::string& name, const std::string& grid_name,
                        const fs::path& folder) {
  base::Json json = read_family(name).config;
  const std::map<std::string, int64_t> widths = {
      {"hidden_size", 256}, {"intermediate_size", 256}, {"head_dim", 64}};
  const std::map<std::string, int64_t> widths_of_gpt2 = {{"n_embd", 256}, {"n_inner", 256}};
  for (const auto& [key, width] : name == "gpt2" ? widths_of_gpt2 : widths) json[key] = width;
  if (json.contains("moe_intermediate_size")) json["moe_intermediate_size"] = 256;
  for (const char* experts : {"num_experts", "num_local_experts"}) {
    if (!json.contains(experts)) continue;
    json[experts] = 3;
    json["num_experts_per_tok"] = 2;
  }
  for (const char* layers : {"num_hidden_layers", "n_layer"}) {
    if (json.contains(layers) && json[layers] == 3) json[layers] = 2;  // the same, three times
  }
  FRUGAL_ASSIGN_OR_RETURN(const ModelConfig config, architecture::parse_model_config(json, name));
  std::vector<format::CheckpointWriter::Tensor> declared;
  for (const architecture::Tensor& tensor : architecture::tensors(config)) {
    declared.push_back({.name = tensor.name, .shape = tensor.shape});
    const bool is_table =
        tensor.role == architecture::Role::kRouter || tensor.role == architecture::Role::kPositions;
    if (tensor.is_matrix() && !is_table) declared.back().grid = grid_name;
  }
  FRUGAL_ASSIGN_OR_RETURN(auto writer, format::CheckpointWriter::create(folder, config, declared));
  for (const auto& tensor : declared) {
    base::RandomStream random(1, name + tensor.name);
    std::vector<float> values(
        static_cast<size_t>(tensor.shape[0] * (tensor.shape.size() == 2 ? tensor.shape[1] : 1)));
    for (float& value : values) value = static_cast<float>(0.1 * random.normal());
    if (!tensor.grid) {
      FRUGAL_RETURN_IF_ERROR(writer.write_values(tensor.name, values));
      continue;
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(*tensor.grid, tensor.shape[1]));
    FRUGAL_ASSIGN_OR_RETURN(
        const auto codes,
        grid::round_to_nearest(grid, values.data(), tensor.shape[0], tensor.shape[1], {}, false));
    FRUGAL_RETURN_IF_ERROR(writer.write_codes(tensor.name, codes));
  }
  return writer.finish();
}

// The tokenizer of golden families, once.
void copy_tokenizer(const fs::path& folder) {
  static const TemporaryFolder kept;
  if (!fs::exists(kept.path() / "llama")) write_family(read_family("llama"), kept.path() / "llama");
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(kept.path() / "llama" / file, folder / file);
}

// All grids for one matrix a tensor, fused ones, stacks of experts, one-plus norms and transposed
// slices; two of them for each other family, in turn.
std::vector<std::string> grids_for(const std::string& family, size_t number) {
  std::vector<std::string> all = gguf_grid_names();
  // (Tensor scales are for some families: tensor_scales_test.)
  std::replace(all.begin(), all.end(), std::string("nvfp4"), std::string("nvfp4:e0"));
  const std::set<std::string> whole = {"llama", "phi3", "mixtral", "gemma3", "gpt2"};
  if (whole.contains(family)) return all;
  return {all[number % all.size()], all[(number + all.size() / 2) % all.size()]};
}

TEST(GgufImporter, CodesOfEveryGridComeBackInEveryFamily) {
  ASSERT_EQ(gguf_grid_names().size(), 16u);
  size_t number = 0;
  for (const std::string& name : exported_families()) {
    // Factors for heads of one size, which the wider ones here have not; codes know nothing of
    // them.
    if (name == "phi3-longrope" || name == "phi3-partial") continue;
    const std::vector<std::string> grids = grids_for(name, number++);
    for (const std::string& grid_name : grids) {
      SCOPED_TRACE(name + " " + grid_name);
      TemporaryFolder folder;
      const fs::path original_folder = folder.path() / "original";
      fs::create_directories(original_folder);
      FRUGAL_ASSERT_OK(write_wide(name, grid_name, original_folder));
      copy_tokenizer(original_folder);
      FRUGAL_ASSERT_OK(export_to(original_folder, folder.path() / "x.gguf"));
      FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint found,
                                  import_to(folder.path() / "x.gguf", folder.path() / "found"));
      FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint original, Checkpoint::open(original_folder));
      ASSERT_EQ(found.quantized().size(), original.quantized().size());
      for (const auto& [tensor, entry] : original.quantized()) {
        ASSERT_EQ(found.quantized().at(tensor).grid, entry.grid) << tensor;
        ASSERT_TRUE(std::ranges::equal(found.bytes(tensor).value(), original.bytes(tensor).value()))
            << tensor;
      }
      if (grid_name == grids.front()) expect_same_config(original.config(), found.config());
    }
  }
}

// License, languages and what a model was made from are said again.
TEST(GgufImporter, ACardTravels) {
  TemporaryFolder folder;
  write_family(read_family("llama"), folder.path() / "original");
  FRUGAL_ASSERT_OK(export_to(folder.path() / "original", folder.path() / "x.gguf"));
  GgufContent content = read_gguf(folder.path() / "x.gguf");
  content.value("general.license") = std::string("apache-2.0");
  content.value("general.languages") = std::vector<std::string>{"en"};
  write_gguf_content(folder.path() / "x.gguf", content);
  FRUGAL_ASSERT_OK(import_to(folder.path() / "x.gguf", folder.path() / "found").status());
  FRUGAL_ASSERT_OK(export_to(folder.path() / "found", folder.path() / "again.gguf"));
  GgufContent again = read_gguf(folder.path() / "again.gguf");
  EXPECT_EQ(std::get<std::string>(again.value("general.license")), "apache-2.0");
  EXPECT_EQ(std::get<std::vector<std::string>>(again.value("general.languages")),
            std::vector<std::string>{"en"});
}

TEST(GgufImporter, GridsThatMoveComeBackAsTheirNeighbor) {
  for (const auto& [from, to] : {std::pair{"int4:g32", "q4_0"}, std::pair{"int8:g64", "q8_0"}}) {
    TemporaryFolder folder;
    const fs::path original_folder = folder.path() / "original";
    fs::create_directories(original_folder);
    FRUGAL_ASSERT_OK(write_wide("llama", from, original_folder));
    copy_tokenizer(original_folder);
    FRUGAL_ASSERT_OK(export_to(original_folder, folder.path() / "x.gguf"));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint found,
                                import_to(folder.path() / "x.gguf", folder.path() / "found"));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint original, Checkpoint::open(original_folder));
    expect_same_tensors(original, found);
    for (const auto& [tensor, entry] : found.quantized()) EXPECT_EQ(entry.grid, to);
  }
}

// A file of a small Llama, as a test changes it.
class HostileGguf : public ::testing::Test {
 protected:
  void SetUp() override {
    const fs::path original = folder_.path() / "original";
    write_family(read_family("llama"), original);
    FRUGAL_ASSERT_OK(export_to(original, path()));
    content_ = read_gguf(path());
  }
  fs::path path() const { return folder_.path() / "x.gguf"; }
  fs::path target() const { return folder_.path() / "found"; }
  // Imports the changed content, which must be refused; nothing that is a checkpoint is left.
  void expect(absl::StatusCode code, const std::string& text) {
    write_gguf_content(path(), content_);
    fs::remove_all(target());
    fs::create_directories(target());
    FRUGAL_EXPECT_ERROR(kGgufImporter.write(path(), target()), code, text);
    EXPECT_FALSE(fs::exists(target() / "config.json"));
    EXPECT_FALSE(fs::exists(target() / "model.safetensors"));
  }
  TemporaryFolder folder_;
  GgufContent content_;
};

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;

TEST_F(HostileGguf, CutAnywhereIsRefused) {
  int64_t data = 0;
  std::vector<int64_t> cuts;
  {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto file, format::GgufFile::open(path()));
    data = static_cast<int64_t>(fs::file_size(path()));
    for (const auto& tensor : file.tensors()) data -= (tensor.size_bytes + 31) / 32 * 32;
    for (const auto& tensor : file.tensors()) {
      cuts.push_back(data + tensor.offset);
      cuts.push_back(data + tensor.offset + tensor.size_bytes / 2);
      cuts.push_back(data + tensor.offset + tensor.size_bytes - 1);
    }
  }
  ASSERT_GT(data, 1000);
  for (int64_t cut = 0; cut < data; ++cut) cuts.push_back(cut);
  std::sort(cuts.rbegin(), cuts.rend());
  fs::create_directories(target());
  for (const int64_t cut : cuts) {
    fs::resize_file(path(), static_cast<uintmax_t>(cut));
    const absl::Status status = kGgufImporter.write(path(), target()).status();
    ASSERT_TRUE(absl::IsInvalidArgument(status) || absl::IsDataLoss(status))
        << "cut at " << cut << ": " << status;
    ASSERT_NE(status.message().find("x.gguf"), std::string::npos) << status;
  }
  EXPECT_TRUE(fs::is_empty(target()));
}

TEST_F(HostileGguf, ContradictionsAreNamed) {
  content_.value("llama.attention.head_count") = uint32_t{2};
  expect(kInvalid, "'blk.0.attn_q.weight' is [64, 64], but the metadata demand [32, 64] (2 heads");
  content_.value("llama.attention.head_count") = uint32_t{4};
  content_.value("llama.feed_forward_length") = uint32_t{97};
  expect(kInvalid, "'blk.0.ffn_gate.weight' is [96, 64]");
  content_.value("llama.feed_forward_length") = uint32_t{96};
  content_.value("llama.block_count") = uint32_t{4};
  expect(kInvalid, "'blk.3.attn_norm.weight' is missing, which a LlamaForCausalLM of 4 layers has");
  content_.value("llama.block_count") = uint32_t{2};
  expect(kUnimplemented, "the tensor 'blk.2.");
  content_.value("llama.block_count") = uint32_t{3};
  content_.tensor("rope_freqs.weight").bytes.assign(32, std::byte{0x3f});
  expect(kUnimplemented, "its frequency factors are not those of Llama 3's rotary scaling");
}

TEST_F(HostileGguf, PiecesWithoutRowsAreNamed) {
  auto& pieces = std::get<std::vector<std::string>>(content_.value("tokenizer.ggml.tokens"));
  auto& types = std::get<std::vector<int32_t>>(content_.value("tokenizer.ggml.token_type"));
  pieces.emplace_back("one more");
  types.push_back(1);
  expect(kInvalid, "'tokenizer.ggml.tokens' has 301 pieces, but the embedding has 300 rows");
  pieces.pop_back();
  types.pop_back();
  pieces[7] = pieces[8];
  expect(kInvalid, "has two ids");
  pieces[7] = "";
  expect(kInvalid, "the piece with id 7 of 'tokenizer.ggml.tokens' is empty");
}

TEST_F(HostileGguf, TypesThatTheHouseLacksAreNamed) {
  auto& tensor = content_.tensor("blk.0.ffn_down.weight");
  tensor.declaration.type = format::ggml_type("I32").value();
  expect(kUnimplemented,
         "'blk.0.ffn_down.weight' is of type I32; frugal reads iq4_nl, iq4_xs, q4_k, ");
  tensor.declaration.type = format::ggml_type("F64").value();
  expect(kUnimplemented, "'blk.0.ffn_down.weight' is of type F64");
  tensor.declaration.type = format::ggml_type("F32").value();
  auto& norm = content_.tensor("blk.0.attn_norm.weight");
  norm.declaration.type = format::ggml_type("Q8_0").value();
  expect(kUnimplemented, "is of type Q8_0, and a vector; frugal reads F32, F16, BF16");
}

TEST_F(HostileGguf, WhatIsNoNumberIsNamed) {
  auto& norm = content_.tensor("blk.1.attn_norm.weight");
  const std::vector<std::byte> before = norm.bytes;
  std::fill(norm.bytes.begin(), norm.bytes.begin() + 4, std::byte{0xff});
  expect(absl::StatusCode::kDataLoss, "'blk.1.attn_norm.weight': it holds -nan at row 0");
  norm.bytes = before;
  auto& matrix = content_.tensor("blk.1.ffn_up.weight");
  matrix.declaration.type = format::ggml_type("Q8_0").value();
  std::fill(matrix.bytes.begin(), matrix.bytes.end(), std::byte{0xff});  // a scale that is NaN
  expect(absl::StatusCode::kDataLoss, "'blk.1.ffn_up.weight': it holds -nan at row 0");
}

// A model in three files is the model in one.
TEST_F(HostileGguf, PartsOfAModelAreOneModel) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint whole, import_to(path(), target()));
  const auto part = [&](size_t number) {
    return folder_.path() / base::str_cat("x-0000", number + 1, "-of-00003.gguf");
  };
  const size_t count = content_.tensors.size();
  for (size_t number = 0; number < 3; ++number) {
    GgufContent content;
    if (number == 0) content.metadata = content_.metadata;
    content.value("split.no") = static_cast<uint16_t>(number);
    content.value("split.count") = uint16_t{3};
    content.value("split.tensors.count") = static_cast<int32_t>(count);
    content.tensors.assign(
        content_.tensors.begin() + static_cast<std::ptrdiff_t>(count * number / 3),
        content_.tensors.begin() + static_cast<std::ptrdiff_t>(count * (number + 1) / 3));
    write_gguf_content(part(number), content);
  }
  EXPECT_EQ(kGgufImporter.files(part(0)).value().size(), 3u);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint joined,
                              import_to(part(0), folder_.path() / "joined"));
  EXPECT_EQ(joined.content_hash().value(), whole.content_hash().value());
  fs::remove(part(1));
  FRUGAL_EXPECT_ERROR(import_to(part(0), folder_.path() / "torn"), absl::StatusCode::kNotFound,
                      "of its 3 parts 1 is not there: x-00002-of-00003.gguf");
}

TEST_F(HostileGguf, AnInterruptionLeavesNoCheckpoint) {
  base::request_interrupt();
  fs::create_directories(target());
  const absl::Status status = kGgufImporter.write(path(), target()).status();
  base::clear_interrupt();
  EXPECT_TRUE(base::is_interrupted(status)) << status;
  EXPECT_FALSE(fs::exists(target() / "config.json"));
  EXPECT_FALSE(fs::exists(target() / "model.safetensors"));
}

}  // namespace
}  // namespace frugal::artifact
