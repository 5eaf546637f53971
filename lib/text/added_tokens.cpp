#include "text/added_tokens.h"

#include <algorithm>

#include "text/characters.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

char32_t character_before(std::string_view text, size_t at, size_t& begin) {
  begin = at - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return first_character(text.substr(begin, at - begin)).code_point;
}

size_t skip_space_left(std::string_view text, size_t at) {
  for (size_t begin = 0; at > 0 && is_white_space(character_before(text, at, begin)); at = begin)
    continue;
  return at;
}

size_t skip_space_right(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Utf8Character character = first_character(text.substr(at));
    if (!is_white_space(character.code_point)) break;
    at += character.length;
  }
  return at;
}

bool inside_word(std::string_view text, size_t begin, size_t end) {
  size_t unused = 0;
  if (begin > 0 && is_word_character(character_before(text, begin, unused))) return true;
  return end < text.size() && is_word_character(first_character(text.substr(end)).code_point);
}

}  // namespace

void AddedTokenMatcher::add(const AddedToken& token, std::string_view spelling) {
  if (spelling.empty()) return;
  begins_[static_cast<unsigned char>(spelling.front())] = true;
  int32_t node = 0;
  for (const char c : spelling) {
    const auto byte = static_cast<unsigned char>(c);
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      auto& children = nodes_[node].children;
      const std::pair<unsigned char, int32_t> entry{byte, next};
      children.insert(std::lower_bound(children.begin(), children.end(), entry), entry);
      nodes_.push_back(Node{});
    }
    node = next;
  }
  nodes_[node].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
  longest_bytes_ = std::max(longest_bytes_, spelling.size());
}

int32_t AddedTokenMatcher::child(int32_t node, unsigned char byte) const {
  const auto& children = nodes_[node].children;
  const auto at = std::lower_bound(children.begin(), children.end(),
                                   std::pair<unsigned char, int32_t>{byte, -1});
  return at != children.end() && at->first == byte ? at->second : -1;
}

int32_t AddedTokenMatcher::longest_at(std::string_view text, size_t at, size_t& end) const {
  int32_t best = -1;
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    node = child(node, static_cast<unsigned char>(text[i]));
    if (node < 0) break;
    if (nodes_[node].token >= 0) {
      best = nodes_[node].token;
      end = i + 1;
    }
  }
  return best;
}

bool AddedTokenMatcher::may_cut(std::string_view begin, std::string_view end) const {
  if (tokens_.empty()) return true;
  // Tokens that swallow spaces stop at a character that is none.
  size_t unused = 0;
  if (begin.empty() || is_white_space(character_before(begin, begin.size(), unused))) return false;
  // No token lies across the cut or ends at it.
  for (size_t at = begin.size() - std::min(begin.size(), longest_bytes_); at < begin.size(); ++at) {
    int32_t node = 0;
    for (size_t i = at; i < begin.size() && node >= 0; ++i)
      node = child(node, static_cast<unsigned char>(begin[i]));
    if (node >= 0) return false;
  }
  // One that begins at it must not mind what is in front of it.
  int32_t node = 0;
  for (const char c : end) {
    node = child(node, static_cast<unsigned char>(c));
    if (node < 0) return true;
    if (nodes_[node].token >= 0 && tokens_[nodes_[node].token].single_word) return false;
  }
  return false;
}

std::vector<TextPart> AddedTokenMatcher::split(std::string_view text, bool with_special) const {
  std::vector<TextPart> parts;
  size_t done = 0;
  for (size_t at = 0; at < text.size() && !tokens_.empty();) {
    if (!begins_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    size_t end = 0;
    const int32_t index = longest_at(text, at, end);
    if (index < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[index];
    const size_t next = end;
    size_t begin = at;
    at = next;  // also where the match is refused: Hugging Face's automaton has consumed it
    if (token.special && !with_special) continue;
    if (token.single_word && inside_word(text, begin, end)) continue;
    if (token.lstrip) begin = std::max(skip_space_left(text, begin), done);
    if (token.rstrip) end = skip_space_right(text, end);
    if (done < begin) parts.push_back({-1, done, begin});
    parts.push_back({token.id, begin, end});
    done = end;
  }
  if (done < text.size()) parts.push_back({-1, done, text.size()});
  return parts;
}

}  // namespace frugal::text
