#include <system_error>

#include "base/file.h"
#include "base/json.h"
#include "text/origins.h"
#include "text/pipeline_tokenizer.h"
#include "text/special_tokens.h"
#include "text/tokenizer_json.h"

namespace frugal::text {
namespace {

namespace fs = std::filesystem;
using Loaded = std::shared_ptr<const Tokenizer>;

constexpr int64_t kMaxTokenizerBytes = int64_t{512} << 20;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

absl::StatusOr<Loaded> finish(TokenizerParts parts, const SpecialTokens& special,
                              const std::string& where) {
  FRUGAL_RETURN_IF_ERROR(apply_special_tokens(special, where, parts));
  return Loaded(std::make_shared<PipelineTokenizer>(std::move(parts)));
}

// Adds what the folder lists and the file itself does not have.
void merge_added(const std::vector<AddedToken>& listed, std::vector<AddedToken>& added) {
  for (const AddedToken& token : listed) {
    bool known = false;
    for (const AddedToken& own : added) known = known || own.id == token.id;
    if (!known) added.push_back(token);
  }
}

absl::StatusOr<Loaded> load_json(const fs::path& file, const FolderTokens& tokens) {
  FRUGAL_ASSIGN_OR_RETURN(const base::Json root, base::read_json(file, kMaxTokenizerBytes));
  FRUGAL_ASSIGN_OR_RETURN(TokenizerDefinition definition,
                          parse_tokenizer_json(root, file.string()));
  FRUGAL_ASSIGN_OR_RETURN(TokenizerParts parts, build_parts(std::move(definition), file.string()));
  return finish(std::move(parts), tokens.special, file.string());
}

absl::StatusOr<Loaded> load_gpt2(const fs::path& vocabulary, const fs::path& merges,
                                 const FolderTokens& tokens) {
  FRUGAL_ASSIGN_OR_RETURN(TokenizerDefinition definition,
                          read_gpt2_files(vocabulary, merges, tokens));
  merge_added(tokens.added, definition.added);
  FRUGAL_ASSIGN_OR_RETURN(TokenizerParts parts,
                          build_parts(std::move(definition), vocabulary.string()));
  return finish(std::move(parts), tokens.special, vocabulary.string());
}

absl::StatusOr<Loaded> load_model(const fs::path& file, const FolderTokens& tokens) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string content, base::read_file(file, kMaxTokenizerBytes));
  const std::string where = file.string();
  if (!looks_like_tiktoken(content)) {
    FRUGAL_ASSIGN_OR_RETURN(TokenizerParts parts, read_sentencepiece_model(content, tokens, where));
    return Loaded(std::make_shared<PipelineTokenizer>(std::move(parts)));
  }
  FRUGAL_ASSIGN_OR_RETURN(TokenizerDefinition definition, read_tiktoken(content, where));
  SpecialTokens special = tokens.special;
  // The first reserved token of a published vocabulary opens or ends texts; a folder may say
  // otherwise.
  const bool has_template = !definition.post_processor.is_null();
  if (!special.bos && has_template) special.bos = definition.added.front().content;
  if (!special.eos && !definition.added.empty())
    special.eos = definition.added[has_template ? 1 : 0].content;
  merge_added(tokens.added, definition.added);
  FRUGAL_ASSIGN_OR_RETURN(TokenizerParts parts, build_parts(std::move(definition), where));
  return finish(std::move(parts), special, where);
}

absl::StatusOr<Loaded> load_llama2c(const fs::path& file) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string content, base::read_file(file, kMaxTokenizerBytes));
  FRUGAL_ASSIGN_OR_RETURN(TokenizerParts parts, read_llama2c_tokenizer(content, file.string()));
  return Loaded(std::make_shared<PipelineTokenizer>(std::move(parts)));
}

absl::StatusOr<Loaded> load_folder(const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const FolderTokens tokens, read_folder_tokens(folder));
  if (is_file(folder / "tokenizer.json")) return load_json(folder / "tokenizer.json", tokens);
  if (is_file(folder / "tokenizer.model")) return load_model(folder / "tokenizer.model", tokens);
  if (is_file(folder / "vocab.json") && is_file(folder / "merges.txt")) {
    return load_gpt2(folder / "vocab.json", folder / "merges.txt", tokens);
  }
  if (is_file(folder / "tokenizer.bin")) return load_llama2c(folder / "tokenizer.bin");
  return base::not_found(
      "no tokenizer in '", folder.string(),
      "'; looked for tokenizer.json, tokenizer.model, vocab.json with merges.txt, tokenizer.bin");
}

absl::StatusOr<Loaded> load_file(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::string extension = file.extension().string();
  if (extension == ".bin") return load_llama2c(file);
  // A file given directly speaks for itself, with its neighbors' word on special tokens only where
  // it is the folder's own.
  FolderTokens tokens;
  if (name == "tokenizer.json" || name == "tokenizer.model" || name == "vocab.json") {
    FRUGAL_ASSIGN_OR_RETURN(tokens, read_folder_tokens(file.parent_path()));
  }
  if (name == "vocab.json" && is_file(file.parent_path() / "merges.txt")) {
    return load_gpt2(file, file.parent_path() / "merges.txt", tokens);
  }
  if (extension == ".json") return load_json(file, tokens);
  return load_model(
      file, tokens);  // tokenizer.model, tok105.model, cl100k_base.tiktoken, tokenizer.model.v3, …
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> load_tokenizer(const fs::path& folder_or_file) {
  std::error_code error;
  if (fs::is_directory(folder_or_file, error)) return load_folder(folder_or_file);
  if (is_file(folder_or_file)) return load_file(folder_or_file);
  return base::not_found("no tokenizer at '", folder_or_file.string(), "': no such file or folder");
}

absl::Status check_fits(const Tokenizer& tokenizer, int64_t embedding_rows,
                        std::string_view where) {
  // Embeddings are often padded to a round number; ids without a row are the mistake.
  if (tokenizer.size() <= embedding_rows) return absl::OkStatus();
  return base::invalid_argument(where, ": the tokenizer has ", tokenizer.size(),
                                " ids, the embedding only ", embedding_rows,
                                " rows; use the tokenizer that the model was trained with");
}

}  // namespace frugal::text
