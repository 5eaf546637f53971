// What a tensor does in a decoder, whatever a family calls it.
#pragma once

#include <cstdint>
#include <string_view>

namespace frugal::architecture {

enum class Role {
  kEmbedding,              // [V, C]
  kPositions,              // [context, C]
  kNormBeforeAttention,    // [C]
  kQuery,                  // [H D, C]
  kKey,                    // [K D, C]
  kValue,                  // [K D, C]
  kQueryBias,              // [H D]
  kKeyBias,                // [K D]
  kValueBias,              // [K D]
  kQueryNorm,              // [D], or [H D] where it spans heads
  kKeyNorm,                // [D], or [K D]
  kAttentionOutput,        // [C, H D]
  kAttentionOutputBias,    // [C]
  kNormAfterAttention,     // [C]
  kNormBeforeFeedForward,  // [C]
  kRouter,                 // [E, C]
  kGate,                   // [F, C]
  kUp,                     // [F, C]
  kGateBias,               // [F]
  kUpBias,                 // [F]
  kDown,                   // [C, F]
  kDownBias,               // [C]
  kNormAfterFeedForward,   // [C]
  kFinalNorm,              // [C]
  kHead,                   // [V, C]
  // Of norms that take the mean away.
  kNormBeforeAttentionBias,    // [C]
  kNormBeforeFeedForwardBias,  // [C]
  kFinalNormBias,              // [C]
};

constexpr bool is_norm(Role role) {
  switch (role) {
    case Role::kNormBeforeAttention:
    case Role::kNormAfterAttention:
    case Role::kNormBeforeFeedForward:
    case Role::kNormAfterFeedForward:
    case Role::kQueryNorm:
    case Role::kKeyNorm:
    case Role::kFinalNorm:
      return true;
    default:
      return false;
  }
}

// The matrix or norm that a bias is added behind; the role itself where it is no bias.
constexpr Role matrix_of(Role bias) {
  switch (bias) {
    case Role::kQueryBias:
      return Role::kQuery;
    case Role::kKeyBias:
      return Role::kKey;
    case Role::kValueBias:
      return Role::kValue;
    case Role::kAttentionOutputBias:
      return Role::kAttentionOutput;
    case Role::kGateBias:
      return Role::kGate;
    case Role::kUpBias:
      return Role::kUp;
    case Role::kDownBias:
      return Role::kDown;
    case Role::kNormBeforeAttentionBias:
      return Role::kNormBeforeAttention;
    case Role::kNormBeforeFeedForwardBias:
      return Role::kNormBeforeFeedForward;
    case Role::kFinalNormBias:
      return Role::kFinalNorm;
    default:
      return bias;
  }
}
constexpr bool is_bias(Role role) { return matrix_of(role) != role; }

// The bias behind a matrix or norm; the role itself where none has one.
constexpr Role bias_of(Role matrix) {
  switch (matrix) {
    case Role::kQuery:
      return Role::kQueryBias;
    case Role::kKey:
      return Role::kKeyBias;
    case Role::kValue:
      return Role::kValueBias;
    case Role::kAttentionOutput:
      return Role::kAttentionOutputBias;
    case Role::kGate:
      return Role::kGateBias;
    case Role::kUp:
      return Role::kUpBias;
    case Role::kDown:
      return Role::kDownBias;
    case Role::kNormBeforeAttention:
      return Role::kNormBeforeAttentionBias;
    case Role::kNormBeforeFeedForward:
      return Role::kNormBeforeFeedForwardBias;
    case Role::kFinalNorm:
      return Role::kFinalNormBias;
    default:
      return matrix;
  }
}

}  // namespace frugal::architecture
