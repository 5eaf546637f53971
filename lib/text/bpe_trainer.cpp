// Trains byte-level BPE (Sennrich et al. 2016): again and again the most frequent pair of neighbors
// becomes a piece.
#include "text/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <queue>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/text.h"
#include "text/byte_level.h"
#include "text/definition.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

// A pair seen once says nothing about the language.
constexpr int64_t kMinCount = 2;

struct Word {
  std::vector<TokenId> symbols;
  int64_t count = 0;
};

uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

class Trainer {
 public:
  Trainer(std::vector<std::string> pieces, std::vector<Word> words)
      : pieces_(std::move(pieces)), words_(std::move(words)) {
    for (size_t w = 0; w < words_.size(); ++w) {
      for (size_t i = 0; i + 1 < words_[w].symbols.size(); ++i) {
        change(words_[w].symbols[i], words_[w].symbols[i + 1], words_[w].count, w);
      }
    }
    for (const auto& [pair, count] : counts_) offer(pair, count);
  }

  // Adds pieces until there are `size`, or no pair is left that occurs twice.
  void run(size_t size, TokenizerDefinition& definition) {
    base::string_map<bool> known;
    for (const std::string& piece : pieces_) known.emplace(piece, true);
    while (pieces_.size() < size && !heap_.empty()) {
      const Offer best = heap_.top();
      heap_.pop();
      const int64_t count = counts_[best.pair];
      if (count != best.count) {  // outdated: offer it again as it stands now
        offer(best.pair, count);
        continue;
      }
      const auto left = static_cast<TokenId>(best.pair >> 32);
      const auto right = static_cast<TokenId>(best.pair & 0xFFFFFFFF);
      const std::string joined = pieces_[left] + pieces_[right];
      // Two ways to one piece, or a text that spells a special token, must not give one piece two
      // ids.
      if (!known.emplace(joined, true).second) {
        counts_[best.pair] = 0;
        continue;
      }
      definition.merges.emplace_back(pieces_[left], pieces_[right]);
      const auto id = static_cast<TokenId>(pieces_.size());
      pieces_.push_back(joined);
      join(best.pair, left, right, id);
    }
    definition.pieces = std::move(pieces_);
  }

 private:
  struct Offer {
    int64_t count;
    std::string text;  // of the pair: breaks ties, the same on every machine
    uint64_t pair;
    bool operator<(const Offer& other) const {
      return count != other.count ? count < other.count : text > other.text;
    }
  };

  void offer(uint64_t pair, int64_t count) {
    if (count < kMinCount) return;
    const std::string& left = pieces_[static_cast<TokenId>(pair >> 32)];
    const std::string& right = pieces_[static_cast<TokenId>(pair & 0xFFFFFFFF)];
    heap_.push({count, base::str_cat(left, " ", right), pair});
  }

  void change(TokenId left, TokenId right, int64_t by, size_t word) {
    const uint64_t pair = pair_key(left, right);
    counts_[pair] += by;
    if (by > 0) where_[pair].insert(word);
  }

  // Replaces the pair by `id` in every word that holds it and counts its new neighbors.
  void join(uint64_t pair, TokenId left, TokenId right, TokenId id) {
    std::set<uint64_t> grown;  // sorted: the heap's order must not depend on hashing
    const absl::flat_hash_set<size_t> places = std::move(where_[pair]);
    where_.erase(pair);
    for (const size_t w : places) {
      Word& word = words_[w];
      const std::vector<TokenId> before = std::move(word.symbols);
      word.symbols.clear();
      for (size_t i = 0; i < before.size(); ++i) {
        const bool match = i + 1 < before.size() && before[i] == left && before[i + 1] == right;
        word.symbols.push_back(match ? id : before[i]);
        if (match) ++i;
      }
      for (size_t i = 0; i + 1 < before.size(); ++i)
        change(before[i], before[i + 1], -word.count, w);
      for (size_t i = 0; i + 1 < word.symbols.size(); ++i) {
        change(word.symbols[i], word.symbols[i + 1], word.count, w);
        if (word.symbols[i] == id || word.symbols[i + 1] == id)
          grown.insert(pair_key(word.symbols[i], word.symbols[i + 1]));
      }
    }
    for (const uint64_t key : grown) offer(key, counts_[key]);
  }

  std::vector<std::string> pieces_;
  std::vector<Word> words_;
  absl::flat_hash_map<uint64_t, int64_t> counts_;
  absl::flat_hash_map<uint64_t, absl::flat_hash_set<size_t>> where_;
  std::priority_queue<Offer> heap_;
};

// Special tokens, then the 256 bytes in the order of their characters (as Hugging Face).
std::vector<std::string> first_pieces(const BpeTrainerOptions& options,
                                      std::array<TokenId, 256>& byte_ids) {
  std::vector<std::string> pieces = options.special;
  std::map<char32_t, unsigned char> alphabet;
  for (unsigned byte = 0; byte < 256; ++byte) {
    alphabet.emplace(byte_to_character(static_cast<unsigned char>(byte)),
                     static_cast<unsigned char>(byte));
  }
  for (const auto& [character, byte] : alphabet) {
    byte_ids[byte] = static_cast<TokenId>(pieces.size());
    append_utf8(character, pieces.emplace_back());
  }
  return pieces;
}

// Counts the words of texts as they come.
class WordCounter final : public ExampleSink {
 public:
  explicit WordCounter(const PreTokenizer& pre_tokenizer) : pre_tokenizer_(pre_tokenizer) {}

  void add(std::string_view text, PreTokenizer::Place place = PreTokenizer::Place::kStart) {
    std::string repaired;
    pre_tokenizer_.split(repair_utf8(text, repaired), place, [&](std::string_view word) {
      const auto found = counts_.find(word);
      if (found == counts_.end())
        counts_.emplace(word, 1);
      else
        ++found->second;
    });
  }

  absl::StatusOr<bool> take(Example example) override {
    add(example.prompt + example.completion);
    return true;
  }

  // Words up to the last place where what follows can change none of them.
  absl::Status take_part(std::string_view part) override {
    text_ += part;
    if (text_.size() < wanted_bytes_) return absl::OkStatus();
    if (const std::vector<size_t> cuts = pre_tokenizer_.cuts(text_, place_); !cuts.empty())
      count(cuts.back());
    wanted_bytes_ = std::max(Tokenizer::kWindowBytes, 2 * text_.size());
    return absl::OkStatus();
  }

  absl::StatusOr<bool> end_text(std::string) override {
    count(text_.size());
    place_ = PreTokenizer::Place::kStart;
    wanted_bytes_ = Tokenizer::kWindowBytes;
    return true;
  }

  std::vector<Word> words(const std::array<TokenId, 256>& byte_ids) const {
    std::vector<Word> words;
    words.reserve(counts_.size());
    for (const auto& [text, count] : counts_) {
      Word& word = words.emplace_back();
      word.count = count;
      for (const char byte : text)
        word.symbols.push_back(byte_ids[static_cast<unsigned char>(byte)]);
    }
    return words;
  }

 private:
  void count(size_t bytes) {
    add(std::string_view(text_).substr(0, bytes), place_);
    text_.erase(0, bytes);
    place_ = PreTokenizer::Place::kContinued;
  }

  const PreTokenizer& pre_tokenizer_;
  std::map<std::string, int64_t, std::less<>> counts_;  // ordered: the same on every machine
  std::string text_;                                    // of a text in parts, not yet counted
  PreTokenizer::Place place_ = PreTokenizer::Place::kStart;
  size_t wanted_bytes_ = Tokenizer::kWindowBytes;
};

absl::Status check(const BpeTrainerOptions& options) {
  const auto needed = static_cast<int64_t>(256 + options.special.size());
  if (options.vocabulary_size < needed) {
    return base::invalid_argument("vocabulary_size ", options.vocabulary_size,
                                  " is too small: 256 bytes and ", options.special.size(),
                                  " special tokens need ", needed);
  }
  if (pre_tokenizer_pattern(options.pre_tokenizer).empty()) {
    const std::vector<std::string> names = {"gpt-2", "qwen2", "llama-bpe", "gpt-4o"};
    return base::invalid_argument("unknown pre_tokenizer '", options.pre_tokenizer, "'",
                                  base::suggestion(options.pre_tokenizer, names));
  }
  absl::flat_hash_set<std::string> seen;
  for (const std::string& token : options.special) {
    // One character could be a byte's piece.
    if (token.size() < 2 || !base::is_valid_utf8(token) || !seen.insert(token).second) {
      return base::invalid_argument("special token '", token,
                                    "': expected distinct texts of at least two characters");
    }
  }
  return absl::OkStatus();
}

// Trains on what `texts` gives to the counter.
absl::StatusOr<std::shared_ptr<const Tokenizer>> train(
    const BpeTrainerOptions& options, const std::function<absl::Status(WordCounter&)>& texts) {
  FRUGAL_RETURN_IF_ERROR(check(options));
  TokenizerDefinition definition;
  definition.pre_tokenizer = byte_level_pre_tokenizer(pre_tokenizer_pattern(options.pre_tokenizer));
  definition.decoder = byte_level_decoder();
  FRUGAL_ASSIGN_OR_RETURN(const PreTokenizer pre_tokenizer,
                          PreTokenizer::parse(definition.pre_tokenizer));
  WordCounter counter(pre_tokenizer);
  FRUGAL_RETURN_IF_ERROR(texts(counter));
  std::array<TokenId, 256> byte_ids{};
  std::vector<std::string> pieces = first_pieces(options, byte_ids);
  Trainer trainer(std::move(pieces), counter.words(byte_ids));
  trainer.run(static_cast<size_t>(options.vocabulary_size), definition);
  for (size_t i = 0; i < options.special.size(); ++i) {
    definition.added.push_back(
        {static_cast<TokenId>(i), options.special[i], false, false, false, false, true});
  }
  FRUGAL_ASSIGN_OR_RETURN(TokenizerParts parts,
                          build_parts(std::move(definition), "trained tokenizer"));
  // The first special token opens and ends documents, as <|endoftext|> does in GPT-2.
  SpecialTokens special;
  if (!options.special.empty())
    special.bos = special.eos = special.padding = options.special.front();
  FRUGAL_RETURN_IF_ERROR(apply_special_tokens(special, "trained tokenizer", parts));
  return std::shared_ptr<const Tokenizer>(std::make_shared<PipelineTokenizer>(std::move(parts)));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> train_bpe(std::span<const std::string> texts,
                                                           const BpeTrainerOptions& options) {
  return train(options, [&](WordCounter& counter) {
    for (const std::string& text : texts) counter.add(text);
    return absl::OkStatus();
  });
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> train_bpe(const DataSource& source,
                                                           const BpeTrainerOptions& options) {
  return train(options, [&](WordCounter& counter) { return stream_examples(source, counter); });
}

}  // namespace frugal::text
