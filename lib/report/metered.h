// What computed a step of evaluate or measure, and the numbers that it tells. Internal to the room.
#pragma once

#include <string>

#include "base/json.h"

namespace frugal::report {

// Whether an artifact was scored or timed in the runtime that serves it. Not so: frugal's own
// forward of decoded weights, which costs the same for every grid.
bool is_served(const base::Json& step);

// "llama.cpp (xllamacpp 2026.10.11549)", "frugal's fp32 forward"; "" where the journal does not
// tell.
std::string engine_of(const base::Json& step);

// The same; journals of earlier versions do not tell: then it was the own forward.
inline constexpr const char* kOwnForward = "frugal's fp32 forward";
std::string engine_or_forward(const base::Json& step);

// {metric: number} of the statistics; of measure also, for the first workload: joules of a request
// in its parts (prefill_joules_per_request, decode_joules_per_request, and of both
// idle_joules_per_request, gross less net) and time_to_first_token, the median.
base::Json step_numbers(const base::Json& step);

// The number times a factor, with its interval and range.
base::Json scaled_number(base::Json number, double factor);

// Whether `a` is better than `b`: +1 or -1 where their intervals tell them apart, 0 where they
// overlap. A number without an interval is a point. `direction` as better_direction.
int told_apart(const base::Json& a, const base::Json& b, int direction);

}  // namespace frugal::report
