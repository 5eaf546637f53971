#include "artifact/onnx/graph_attention.h"

#include <limits>
#include <utility>
#include <vector>

#include "base/text.h"

namespace frugal::artifact {

using base::str_cat;
using format::OnnxAttribute;
using format::OnnxType;

namespace {

std::string past(int64_t layer, const char* kind) {
  return str_cat("past_key_values.", layer, ".", kind);
}
std::string present(int64_t layer, const char* kind) {
  return str_cat("present.", layer, ".", kind);
}

}  // namespace

void GraphAttention::add_mask() {
  to_.constant<int64_t>("axis_one", {1}, {1});
  to_.constant<int64_t>("one", {}, {1});
  if (!standard_) add_lengths();
  to_.node("Shape", "", {"attention_mask"}, {"mask_shape"});
  to_.node("Gather", "", {"mask_shape", "one"}, {"mask_length"}, {{"axis", int64_t{0}}});
  if (standard_) return add_standard_mask();
  to_.node("Cast", "", {"mask_length"}, {"total_length"},
           {{"to", static_cast<int64_t>(OnnxType::kInt32)}});
}

// GroupQueryAttention wants lengths instead of a mask: per row the tokens seen less one, and the
// longest total.
void GraphAttention::add_lengths() {
  to_.node("ReduceSum", "", {"attention_mask", "axis_one"}, {"tokens_seen"},
           {{"keepdims", int64_t{0}}});
  to_.node("Sub", "", {"tokens_seen", "one"}, {"tokens_seen_less_one"});
  to_.node("Cast", "", {"tokens_seen_less_one"}, {"sequence_lengths"},
           {{"to", static_cast<int64_t>(OnnxType::kInt32)}});
}

// By the mask: a token's place is the number of tokens ahead of it, padding on either side counts
// for nothing.
std::string GraphAttention::places() {
  if (std::exchange(has_places_, true)) return "places";
  const std::string zero = to_.zero();
  to_.constant<int64_t>("beyond_all", {1}, {std::numeric_limits<int64_t>::max()});
  to_.node("CumSum", "", {"attention_mask", "one"}, {"tokens_so_far"});
  to_.node("Sub", "", {"tokens_so_far", "one"}, {"tokens_ahead"});
  to_.node("Max", "", {"tokens_ahead", zero}, {"all_places"});
  to_.node("Shape", "", {"input_ids"}, {"new_length"}, {{"start", int64_t{1}}});
  to_.node("Neg", "", {"new_length"}, {"first_new"});
  to_.node("Slice", "", {"all_places", "first_new", "beyond_all", "axis_one"}, {"places"});
  return "places";
}

// Which keys a query sees, [B, 1, new tokens, tokens]: those that are tokens and stand no later.
// Attention's own is_causal is left alone: releases of the operator aligned it otherwise where
// there is a past, and it knows no padding. Every query sees a key, padding those of the place it
// got: rows without any would be no numbers in some runtimes.
void GraphAttention::add_standard_mask() {
  to_.constant<int64_t>("axes_of_keys", {2}, {1, 2});
  to_.constant<int64_t>("axes_of_queries", {2}, {1, 3});
  to_.node("Unsqueeze", "", {places(), "axes_of_queries"}, {"query_places"});
  to_.node("Unsqueeze", "", {"all_places", "axes_of_keys"}, {"key_places"});
  to_.node("Cast", "", {"attention_mask"}, {"are_tokens"},
           {{"to", static_cast<int64_t>(OnnxType::kBool)}});
  to_.node("Unsqueeze", "", {"are_tokens", "axes_of_keys"}, {"keys_are_tokens"});
  to_.node("LessOrEqual", "", {"key_places", "query_places"}, {"keys_are_no_later"});
  to_.node("And", "", {"keys_are_no_later", "keys_are_tokens"}, {"visible"});
}

std::string GraphAttention::mask(std::optional<int64_t> window) {
  if (!window) return "visible";
  const auto [known, is_new] = window_masks_.emplace(*window, str_cat("visible.", *window));
  const std::string& name = known->second;
  if (!is_new) return name;
  if (window_masks_.size() == 1) to_.node("Sub", "", {"query_places", "key_places"}, {"distances"});
  to_.constant<int64_t>(name + ".window", {}, {*window});
  to_.node("Less", "", {"distances", name + ".window"}, {name + ".are_near"});
  to_.node("And", "", {"visible", name + ".are_near"}, {name});
  return name;
}

void GraphAttention::add(int64_t layer, const Inputs& inputs, const std::string& output) {
  if (!standard_) return add_grouped(layer, inputs, output);
  const architecture::Attention& attention = to_.layer(layer).attention;
  const Inputs turned_inputs = {turned(layer, inputs.query, attention.heads),
                                turned(layer, inputs.key, attention.key_value_heads), inputs.value};
  attention.score_cap ? add_capped(layer, turned_inputs, output)
                      : add_standard(layer, turned_inputs, output);
}

void GraphAttention::add_grouped(int64_t layer, const Inputs& in, const std::string& output) {
  const architecture::Attention& attention = to_.layer(layer).attention;
  const GraphRotary::Tables& tables = rotary_.of(layer);
  const bool turns = !tables.cosine.empty();
  std::vector<std::string> inputs = {
      in.query,           in.key,        in.value, past(layer, "key"), past(layer, "value"),
      "sequence_lengths", "total_length"};
  if (turns) inputs.insert(inputs.end(), {tables.cosine, tables.sine});
  std::vector<OnnxAttribute> attributes = {{"num_heads", attention.heads},
                                           {"kv_num_heads", attention.key_value_heads},
                                           {"scale", static_cast<float>(attention.score_scale)},
                                           {"do_rotary", int64_t{turns ? 1 : 0}},
                                           {"rotary_interleaved", int64_t{0}},
                                           {"local_window_size", attention.window.value_or(-1)}};
  if (attention.score_cap)
    attributes.push_back({"softcap", static_cast<float>(*attention.score_cap)});
  to_.node("GroupQueryAttention", kContribDomain, std::move(inputs),
           {output, present(layer, "key"), present(layer, "value")}, std::move(attributes));
}

std::string GraphAttention::turned(int64_t layer, const std::string& input, int64_t heads) {
  const GraphRotary::Tables& tables = rotary_.of(layer);
  if (tables.cosine.empty()) return input;
  const architecture::Attention& attention = to_.layer(layer).attention;
  const int64_t channels = attention.rope.turned(attention.head_size);
  std::vector<OnnxAttribute> attributes = {{"num_heads", heads}, {"interleaved", int64_t{0}}};
  if (channels < attention.head_size) attributes.push_back({"rotary_embedding_dim", channels});
  to_.node("RotaryEmbedding", "", {input, tables.cosine, tables.sine, places()},
           {input + ".turned"}, std::move(attributes));
  return input + ".turned";
}

void GraphAttention::add_standard(int64_t layer, const Inputs& in, const std::string& output) {
  const architecture::Attention& attention = to_.layer(layer).attention;
  to_.node("Attention", "",
           {in.query, in.key, in.value, mask(attention.window), past(layer, "key"),
            past(layer, "value")},
           {output, present(layer, "key"), present(layer, "value")},
           {{"q_num_heads", attention.heads},
            {"kv_num_heads", attention.key_value_heads},
            {"scale", static_cast<float>(attention.score_scale)}});
}

// Scores under a cap, spelled out: as published with opset 23, Attention's softcap came behind the
// mask, so that the cap let masked keys in; a later correction of the operator put it before, and
// the number of the opset does not tell which of the two a runtime has.
void GraphAttention::add_capped(int64_t layer, const Inputs& in, const std::string& output) {
  const architecture::Attention& attention = to_.layer(layer).attention;
  const std::string keys = cached(layer, in.key, "key"), values = cached(layer, in.value, "value");
  to_.node("Transpose", "", {keys}, {keys + ".columns"},
           {{"perm", std::vector<int64_t>{0, 1, 2, 4, 3}}});
  to_.node("MatMul", "", {grouped_queries(layer, in.query), keys + ".columns"},
           {output + ".scores"});
  to_.node("MatMul", "", {capped_shares(layer, output + ".scores", output), values},
           {output + ".groups"});  // [B, key-value heads, queries of one, T, D]
  to_.node("Transpose", "", {output + ".groups"}, {output + ".heads"},
           {{"perm", std::vector<int64_t>{0, 3, 1, 2, 4}}});
  to_.constant<int64_t>(output + ".flat", {3}, {0, 0, attention.heads * attention.head_size});
  to_.node("Reshape", "", {output + ".heads", output + ".flat"}, {output});
}

// The keys or values of all tokens, [B, key-value heads, 1, tokens, D]; and the cache.
std::string GraphAttention::cached(int64_t layer, const std::string& input,
                                   const std::string& kind) {
  const architecture::Attention& attention = to_.layer(layer).attention;
  const std::string all = present(layer, kind.c_str());
  to_.constant<int64_t>(input + ".shape", {4},
                        {0, 0, attention.key_value_heads, attention.head_size});
  to_.node("Reshape", "", {input, input + ".shape"}, {input + ".heads"});
  to_.node("Transpose", "", {input + ".heads"}, {input + ".new"},
           {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  to_.node("Concat", "", {past(layer, kind.c_str()), input + ".new"}, {all},
           {{"axis", int64_t{2}}});
  if (!std::exchange(has_cap_constants_, true)) {
    to_.constant<int64_t>("axis_two", {1}, {2});
    to_.constant<float>("lowest", {}, {std::numeric_limits<float>::lowest()});
  }
  to_.node("Unsqueeze", "", {all, "axis_two"}, {all + ".groups"});
  return all + ".groups";
}

// [B, key-value heads, queries of one, T, D].
std::string GraphAttention::grouped_queries(int64_t layer, const std::string& query) {
  const architecture::Attention& attention = to_.layer(layer).attention;
  to_.constant<int64_t>(query + ".shape", {5},
                        {0, 0, attention.key_value_heads,
                         attention.heads / attention.key_value_heads, attention.head_size});
  to_.node("Reshape", "", {query, query + ".shape"}, {query + ".heads"});
  to_.node("Transpose", "", {query + ".heads"}, {query + ".groups"},
           {{"perm", std::vector<int64_t>{0, 2, 3, 1, 4}}});
  return query + ".groups";
}

// softmax(cap * tanh(scores * scale / cap)) of what each query sees.
std::string GraphAttention::capped_shares(int64_t layer, const std::string& scores,
                                          const std::string& stem) {
  const architecture::Attention& attention = to_.layer(layer).attention;
  const double cap = *attention.score_cap;
  to_.constant<float>(stem + ".scale", {}, {static_cast<float>(attention.score_scale / cap)});
  to_.constant<float>(stem + ".cap", {}, {static_cast<float>(cap)});
  to_.node("Mul", "", {scores, stem + ".scale"}, {scores + ".scaled"});
  to_.node("Tanh", "", {scores + ".scaled"}, {scores + ".bounded"});
  to_.node("Mul", "", {scores + ".bounded", stem + ".cap"}, {scores + ".capped"});
  to_.node("Unsqueeze", "", {mask(attention.window), "axis_one"}, {stem + ".visible"});
  to_.node("Where", "", {stem + ".visible", scores + ".capped", "lowest"}, {scores + ".seen"});
  to_.node("Softmax", "", {scores + ".seen"}, {stem + ".shares"}, {{"axis", int64_t{-1}}});
  return stem + ".shares";
}

}  // namespace frugal::artifact
