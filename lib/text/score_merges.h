// SentencePiece's scores as ranked merges, the form that tokenizer.json has for them.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace frugal::text {

// For every normal piece all pairs of normal pieces that it is made of, the best score first; of
// one score the longest left part first, as transformers converts them. SentencePiece joins the
// best pair first and of equal ones the leftmost: the same wherever scores of pieces differ.
std::vector<std::pair<std::string, std::string>> merges_of_scores(
    std::span<const std::string> pieces, std::span<const float> scores,
    std::span<const PieceType> types);

}  // namespace frugal::text
