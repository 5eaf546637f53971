#include "format/model_folder.h"

#include "tiny_model.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kNotFound = absl::StatusCode::kNotFound;

constexpr const char* kPointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4096\n";
constexpr const char* kAdapter = R"({"base_model_name_or_path": "org/base", "r": 8})";

// A small model, and what has gone wrong with it.
class ModelFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    FRUGAL_ASSERT_OK(test::write_model(folder(), test::tiny_config(), DType::kF32));
  }
  const fs::path& folder() const { return folder_.path(); }
  void write(const char* name, std::string_view content) {
    fs::create_directories((folder() / name).parent_path());
    test::write_text(folder() / name, content);
  }
  absl::Status open() { return Checkpoint::open(folder()).status(); }
  frugal::test::TemporaryFolder folder_;
};

TEST_F(ModelFolder, GitLfsPointersAndWebPagesAreNamed) {
  write("model.safetensors", kPointer);
  FRUGAL_EXPECT_ERROR(open(), kInvalid, "model.safetensors: it is a git-lfs pointer");
  write("model.safetensors", "<!DOCTYPE html><html><body>Sign in</body></html>");
  FRUGAL_EXPECT_ERROR(open(), kInvalid, "a web page");
  write("model.safetensors", "");
  FRUGAL_EXPECT_ERROR(open(), kInvalid, "an empty file");
  write("model.safetensors", std::string(5000, '\0'));
  FRUGAL_EXPECT_ERROR(open(), kInvalid, "zero bytes");
  write("model.safetensors", "GGUF\x03\0\0\0"s);
  FRUGAL_EXPECT_ERROR(open(), kInvalid, "a GGUF file");
  write("config.json", kPointer);
  FRUGAL_EXPECT_ERROR(open(), kInvalid, "config.json: it is a git-lfs pointer");
}

TEST_F(ModelFolder, AdaptersAreNamedWithHowToMergeThem) {
  write("adapter_config.json", kAdapter);
  FRUGAL_EXPECT_ERROR(open(), kInvalid, "a model with an adapter beside it");
  fs::remove(folder() / "config.json");
  fs::remove(folder() / "model.safetensors");
  write("adapter_model.safetensors", "x");
  FRUGAL_EXPECT_ERROR(open(), kInvalid, "a LoRA adapter (adapter_config.json of 'org/base')");
  FRUGAL_EXPECT_ERROR(open(), kInvalid, "from_pretrained('org/base')");
  FRUGAL_EXPECT_ERROR(open(), kInvalid, "merge_and_unload()");
}

TEST_F(ModelFolder, UnfinishedDownloadsAreNamed) {
  fs::remove(folder() / "model.safetensors");
  write(".cache/huggingface/download/abc.incomplete", "half");
  FRUGAL_EXPECT_ERROR(open(), kNotFound, "has not finished (abc.incomplete)");
  write("model.safetensors.index.json",
        R"({"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors",
                           "lm_head.weight": "model-00002-of-00002.safetensors"}})");
  FRUGAL_EXPECT_ERROR(open(), kNotFound, "of its 2 shards 2 are not there: model-00001-of-00002");
  fs::remove(folder() / "model.safetensors.index.json");
  fs::remove_all(folder() / ".cache");
  write("model-00001-of-00002.safetensors", "x");
  FRUGAL_EXPECT_ERROR(open(), kNotFound, "its index is missing");
  fs::create_symlink("../../blobs/gone", folder() / "model.safetensors");
  FRUGAL_EXPECT_ERROR(open(), kNotFound, "a broken symbolic link");
}

TEST_F(ModelFolder, OtherFormatsAreNamed) {
  fs::remove(folder() / "model.safetensors");
  write("consolidated.00.pth", "x");
  FRUGAL_EXPECT_ERROR(open(), kNotFound, "'consolidated.00.pth' is a PyTorch or pickle file");
  fs::remove(folder() / "consolidated.00.pth");
  write("tf_model.h5", "x");
  FRUGAL_EXPECT_ERROR(open(), kNotFound, "'tf_model.h5' is of another format");
  fs::remove(folder() / "config.json");
  write("model-q4.gguf", "GGUF");
  FRUGAL_EXPECT_ERROR(open(), kNotFound, "no config.json, but model-q4.gguf");
}

TEST_F(ModelFolder, PathsBesideAModelAreLedToIt) {
  const fs::path model = folder();
  FRUGAL_EXPECT_ERROR(Checkpoint::open(model / "model.safetensors"), kInvalid,
                      "give the folder it is in: '" + model.string() + "'");
  FRUGAL_EXPECT_ERROR(Checkpoint::open(model / "config.json"), kInvalid, "give the folder");
  write("m.gguf", "GGUF\x03\0\0\0"s);
  FRUGAL_EXPECT_ERROR(Checkpoint::open(model / "m.gguf"), kInvalid,
                      "frugal import 'm.gguf' -o FOLDER");
  write("m.onnx", "\x08\x08");
  FRUGAL_EXPECT_ERROR(Checkpoint::open(model / "m.onnx"), kInvalid, "an ONNX model");
  const frugal::test::TemporaryFolder above;
  fs::create_directories(above.path() / "snapshots" / "0123");
  test::write_text(above.path() / "snapshots" / "0123" / "config.json", "{}");
  FRUGAL_EXPECT_ERROR(Checkpoint::open(above.path()), kNotFound, "did you mean '");
}

TEST(TensorNames, TellHowTheWeightsWereStored) {
  EXPECT_EQ(explain_tensor_names({"model.norm.weight"}), "");
  EXPECT_THAT(explain_tensor_names({"model.layers.0.self_attn.q_proj.lora_A.default.weight"}),
              ::testing::HasSubstr("a LoRA adapter that is not merged"));
  EXPECT_THAT(explain_tensor_names({"model.layers.0.mlp.up_proj.qweight"}),
              ::testing::HasSubstr("another quantizer"));
  EXPECT_THAT(explain_tensor_names({"_orig_mod.model.norm.weight", "_orig_mod.lm_head.weight"}),
              ::testing::HasSubstr("torch.compile"));
}

}  // namespace
}  // namespace frugal::format
