#include <algorithm>
#include <set>
#include <span>
#include <system_error>

#include "base/file.h"
#include "base/file_kind.h"
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
  parts.vocabulary.origin = where;
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

// Tokens that were added beside tokenizer.json (tokenizer_config.json, added_tokens.json) and that
// it does not know yet, behind its own: transformers adds them, too.
void add_unlisted(const std::vector<AddedToken>& listed, TokenizerDefinition& definition) {
  int64_t size = static_cast<int64_t>(definition.pieces.size());
  std::set<std::string_view> known(definition.pieces.begin(), definition.pieces.end());
  for (const AddedToken& own : definition.added) {
    size = std::max<int64_t>(size, own.id + 1);
    known.insert(own.content);
  }
  std::vector<AddedToken> fresh;
  for (const AddedToken& token : listed) {
    if (token.id >= size && !known.contains(token.content)) fresh.push_back(token);
  }
  definition.added.insert(definition.added.end(), fresh.begin(), fresh.end());
}

absl::StatusOr<Loaded> load_json(const fs::path& file, const FolderTokens& tokens) {
  FRUGAL_ASSIGN_OR_RETURN(const base::Json root, base::read_json(file, kMaxTokenizerBytes));
  FRUGAL_ASSIGN_OR_RETURN(TokenizerDefinition definition,
                          parse_tokenizer_json(root, file.string()));
  add_unlisted(tokens.added, definition);
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
  FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(content, file));
  const std::string where = file.string();
  if (!looks_like_tiktoken(content)) {
    FRUGAL_ASSIGN_OR_RETURN(TokenizerParts parts, read_sentencepiece_model(content, tokens, where));
    parts.vocabulary.origin = where;
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
  FRUGAL_RETURN_IF_ERROR(base::refuse_foreign(content, file));
  FRUGAL_ASSIGN_OR_RETURN(TokenizerParts parts, read_llama2c_tokenizer(content, file.string()));
  parts.vocabulary.origin = file.string();
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

// Whether the file begins as a JSON object does.
absl::StatusOr<bool> is_json_object(const fs::path& file) {
  FRUGAL_ASSIGN_OR_RETURN(const base::MappedFile mapped, base::MappedFile::open(file));
  const std::span<const std::byte> bytes = mapped.bytes();
  constexpr std::string_view kSpace = " \t\r\n\xEF\xBB\xBF";  // and the byte order mark
  for (const std::byte byte : bytes.first(std::min<size_t>(bytes.size(), 4096))) {
    if (kSpace.find(static_cast<char>(byte)) == std::string_view::npos)
      return static_cast<char>(byte) == '{';
  }
  return false;
}

absl::StatusOr<Loaded> load_file(const fs::path& file) {
  const std::string name = file.filename().string();
  FRUGAL_ASSIGN_OR_RETURN(const bool json, is_json_object(file));
  // llama2.c's files have no mark of their own: only their name tells them from SentencePiece's.
  if (!json && base::suffix_of(file) == ".bin") return load_llama2c(file);
  // A file given directly speaks for itself, with its neighbors' word on special tokens only where
  // it is the folder's own.
  FolderTokens tokens;
  if (name == "tokenizer.json" || name == "tokenizer.model" || name == "vocab.json") {
    FRUGAL_ASSIGN_OR_RETURN(tokens, read_folder_tokens(file.parent_path()));
  }
  if (name == "vocab.json" && is_file(file.parent_path() / "merges.txt")) {
    return load_gpt2(file, file.parent_path() / "merges.txt", tokens);
  }
  if (json || base::suffix_of(file) == ".json") return load_json(file, tokens);
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

namespace {

// The file that brought piece `id`: the main one, or one that adds pieces to it.
std::string origin_of(const Tokenizer& tokenizer, TokenId id) {
  const fs::path main = tokenizer.vocabulary().origin;
  const std::string& piece = tokenizer.vocabulary().pieces[static_cast<size_t>(id)];
  if (main.empty()) return "";
  const auto holds = [&](const char* name, const std::string& text) {
    const auto content = is_file(main.parent_path() / name)
                             ? base::read_file(main.parent_path() / name, kMaxTokenizerBytes)
                             : absl::StatusOr<std::string>("");
    return content.ok() && content->find(text) != std::string::npos;
  };
  const std::string quoted = base::Json(piece).dump();
  if (main.filename() == "tokenizer.json" && holds("tokenizer.json", quoted)) return main.string();
  for (const char* name : {"added_tokens.json", "tokenizer_config.json"}) {
    if (holds(name, quoted)) return (main.parent_path() / name).string();
  }
  return main.string();
}

}  // namespace

absl::Status check_fits(const Tokenizer& tokenizer, int64_t embedding_rows,
                        std::string_view where) {
  // Embeddings are often padded to a round number; ids without a row are the mistake.
  if (tokenizer.size() <= embedding_rows) return absl::OkStatus();
  const auto id = static_cast<TokenId>(embedding_rows);
  const std::string& piece = tokenizer.vocabulary().pieces[static_cast<size_t>(id)];
  const std::string file = origin_of(tokenizer, id);
  const int64_t extra = tokenizer.size() - embedding_rows;
  return base::invalid_argument(
      where, ": the tokenizer has ", tokenizer.size(), " ids, the embedding only ", embedding_rows,
      " rows: ",
      extra == 1 ? "" : base::str_cat("of the ", extra, " pieces without a row the first is "), "'",
      piece, "' (id ", id, file.empty() ? "" : base::str_cat(", from ", file), ")",
      extra == 1 ? " has no row" : "",
      "; pad the embedding, in Python: ", "model.resize_token_embeddings(", tokenizer.size(),
      "), or remove ", extra == 1 ? "the piece" : "the pieces", " from ",
      file.empty() ? "the tokenizer" : file);
}

}  // namespace frugal::text
