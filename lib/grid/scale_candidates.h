// What the searches for one scale and for pairs share: how far candidates lie apart, and the sums
// that all of them need. Internal.
#pragma once

#include <span>
#include <vector>

#include "grid/scale_search.h"

namespace frugal::grid {

inline constexpr int kPacks = 2;  // 32 candidates for each search
inline constexpr int kRounds = 2;
// Below this no product of a stored scale and a level is anything but 0 or larger than twice the
// weight.
inline constexpr float kNegligible = 0x1p-26f;

void candidate_sums(std::span<const float> x, std::span<const float> weights,
                    const Candidates& candidates, const LevelTable& table, CandidateSums& out);

// How far the extreme level is moved from one candidate to the next, relative to that level: about
// a tenth of the distance between levels, more where levels are fine. `steps`: levels on one side.
float candidate_step(float steps);

// How much further than to half a long group may have to be clipped: few levels serve the bulk of
// the weights, and the largest is then far outside (1 in groups of up to 16).
float candidate_stretch(std::span<const float> x, float largest);

// Weighted sums of a block that candidates share, and what the loops take.
struct Moments {
  std::vector<float> x;           // minus a common offset
  std::vector<float> weighted_x;  // weight * x
  float weight = 0;               // sum w
  float first = 0;                // sum w x
  float second = 0;               // sum w x^2
};

// The working memory of this thread; valid until the next call.
const Moments& moments_of(std::span<const float> x, std::span<const float> weights, float offset);

}  // namespace frugal::grid
