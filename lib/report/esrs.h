// A run as a table for a sustainability statement: ESRS E1 (Commission Delegated Regulation (EU)
// 2023/2772), energy (E1-5) and emissions (E1-6) of the computing, as far as a run knows them.
// Internal to the room.
//
// Schema of esrs-e1.json: {schema 1, standard, run, boundary, rows}; of a
// row, and of a line of esrs-e1.csv:
//   disclosure       "E1-5"
//   paragraph        of the standard, "37"
//   datapoint        what it is, in words
//   unit             "MWh", "tCO2e", "gCO2e per 1M tokens"
//   value            null (an empty field): unknown, and `reason` says why
//   low, high        bounds, where what it rests on is known within bounds only
//   estimated_share  of the energy behind it that was modelled or assumed and not metered, 0 to 1
//   method, source   how it was obtained, and the factors with their years
//   reason           why it is unknown
#pragma once

#include <string>

#include "base/json.h"
#include "report/report.h"

namespace frugal::report {

base::Json esrs_table(const JournalView& journal);
std::string esrs_csv(const base::Json& table);

}  // namespace frugal::report
