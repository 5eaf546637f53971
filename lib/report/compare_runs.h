// Several runs in one table: what models cost and what they are worth, from our own measurements,
// and which of these numbers may be held against each other.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace frugal::report {

// {schema 1, name, finding, description, runs [{name, folder, started, status, machine, meters,
//  site, baseline, claim, journal_sha256}],
//  columns [{key, title, unit, better, comparable, not_ranked, note}],
//  rows [{run, model, role, engine, claim, cells {key: number}, best [key], best_use}],
//  rules [{rule, answer}]}
//
// A column is comparable where all its known numbers were obtained alike: quality on the same
// items, text and protocol in the same runtime; energy and speed on the same machine by the same
// meters in the same runtime at the same work; carbon besides at the same site. Where not, nothing
// in it is called best, and `note` says what differs. `not_ranked` is an engine that stands aside
// in it: of cost, frugal's own forward where others were served. Errors: a folder without a
// journal; two folders of the same run; fewer than one.
absl::StatusOr<base::Json> compare_runs(const std::vector<std::filesystem::path>& run_folders);

// run,model,engine,metric,value,low,high,unit,provenance,source,comparable: one row for each known
// number.
std::string comparison_csv(const base::Json& comparison);

// The page with the comparison inside; no reference to anything outside the file.
std::string render_comparison(const base::Json& comparison);

// The table for a terminal, notes and rules below it.
std::string comparison_text(const base::Json& comparison);

}  // namespace frugal::report
