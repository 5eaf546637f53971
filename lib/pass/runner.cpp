#include "pass/runner.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <optional>

#include "base/file.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/process.h"
#include "base/progress_gauge.h"
#include "pass/disk_room.h"
#include "pass/journal.h"
#include "pass/records.h"
#include "pass/run_context.h"
#include "pass/run_folder.h"
#include "pass/yaml.h"

namespace frugal::pass {
namespace fs = std::filesystem;
namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// LibTorch and the standard library throw; a pass should have turned that into a Status, and a run
// must end well even where one has not.
absl::Status run_guarded(const Pass& pass, RunContext& context) {
  try {
    return pass.run(context);
  } catch (const std::bad_alloc&) {
    return base::resource_exhausted("out of memory");
  } catch (const std::exception& error) {
    return base::internal(error.what());
  }
}

class Runner {
 public:
  Runner(const Plan& plan, const Cache& cache, energy::MeterSet& meters, const RunOptions& options,
         RunFolder folder, Console& console, Journal journal)
      : plan_(plan),
        cache_(cache),
        meters_(meters),
        options_(options),
        folder_(std::move(folder)),
        console_(console),
        journal_(std::move(journal)),
        entries_(plan.units.size()) {
    result_.outputs.resize(plan.units.size());
    result_.paths.resize(plan.units.size());
  }

  absl::StatusOr<RunResult> run() {
    const auto begin = std::chrono::steady_clock::now();
    FRUGAL_RETURN_IF_ERROR(start());
    absl::Status status = idle_window();
    for (size_t i = 0; status.ok() && i < plan_.units.size(); ++i) status = run_unit(i);
    if (status.ok()) status = idle_window();
    const bool stopped = base::is_interrupted(status);
    const absl::Status written =
        journal_.write("run_end", {{"status", status.ok() ? "done"
                                              : stopped   ? "interrupted"
                                                          : "failed"},
                                   {"seconds", seconds_since(begin)},
                                   {"steps_run", result_.steps_run},
                                   {"steps_cached", result_.steps_cached}});
    if (status.ok()) status = written;  // else the first error says more
    conclude(status);
    return result_;
  }

 private:
  absl::Status start() {
    const std::string resolved = resolved_text(plan_);
    FRUGAL_RETURN_IF_ERROR(
        base::write_file_atomically(folder_.path() / "pipeline.resolved.yaml", resolved));
    FRUGAL_RETURN_IF_ERROR(folder_.clear());
    std::vector<FactorFile> factor_files = plan_.factor_files;
    factor_files.insert(factor_files.end(), options_.factor_files.begin(),
                        options_.factor_files.end());
    FRUGAL_ASSIGN_OR_RETURN(const base::Json factors, folder_.keep_factors(factor_files));
    const Pipeline& pipeline = plan_.pipeline;
    needs_work_ = std::any_of(plan_.units.begin(), plan_.units.end(),
                              [&](const Unit& unit) { return !cache_.contains(unit.key); });
    FRUGAL_RETURN_IF_ERROR(check_room_for(plan_, cache_));
    base::Json models = base::Json::object();
    for (const auto& [name, input] : plan_.models) models[name] = describe_model(input);
    console_.begin(folder_.path().string(), forecast());
    return journal_.write("run_start", {{"schema", 1},
                                        {"frugal", options_.version},
                                        {"name", pipeline.name},
                                        {"description", pipeline.description},
                                        {"seed", pipeline.seed},
                                        {"pipeline_sha256", pipeline.sha256},
                                        {"resolved_sha256", base::sha256(resolved)},
                                        {"factors", factors},
                                        {"machine", machine_json(options_.device_description)},
                                        {"models", models},
                                        {"meters", meters_.describe()},
                                        {"site", plan_.site},
                                        {"report", report_json(pipeline.report)},
                                        {"command", options_.command}});
  }

  // Of the units that are not in the cache; unknown where one of them has no forecast.
  std::optional<double> forecast() const {
    double seconds = 0;
    for (const Unit& unit : plan_.units) {
      if (cache_.contains(unit.key)) continue;
      if (!unit.estimate.seconds) return std::nullopt;
      seconds += *unit.estimate.seconds;
    }
    return seconds;
  }

  // Idle power, before and after the work; a run that takes everything from the cache has none to
  // do, and meters of this process alone know no idle power to wait for.
  absl::Status idle_window() {
    const std::vector<energy::MeterInfo> meters = meters_.meters();
    const bool whole_device = std::any_of(meters.begin(), meters.end(),
                                          [](const auto& meter) { return meter.whole_device; });
    if (!needs_work_ || options_.idle_seconds <= 0 || !whole_device) return absl::OkStatus();
    const energy::WindowResult idle = meters_.measure_idle(options_.idle_seconds);
    if (idle_power_.empty()) idle_power_ = energy::idle_power(idle);
    FRUGAL_RETURN_IF_ERROR(journal_.write("idle", {{"energy", energy::to_json(idle)}}));
    return base::check_interrupt();
  }

  absl::Status run_unit(size_t index) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    const Unit& unit = plan_.units[index];
    auto found = cache_.find(unit.key);
    if (found.ok() && *found) return finish_unit(index, **std::move(found), true);
    FRUGAL_ASSIGN_OR_RETURN(const FileLock lock, cache_.lock(unit.key));
    found = cache_.find(unit.key, lock);  // another run may have made it meanwhile
    if (found.ok() && *found) return finish_unit(index, **std::move(found), true);
    FRUGAL_RETURN_IF_ERROR(journal_.write("step_start", start_fields(unit)));
    console_.starts(index);
    if (!found.ok()) return unit_failed(index, found.status(), {});
    auto made = make_unit(index);
    if (!made.ok()) return made.status();
    return finish_unit(index, *std::move(made), false);
  }

  absl::StatusOr<format::Checkpoint> open_model(const std::string& name) const {
    if (const auto model = plan_.models.find(name); model != plan_.models.end()) {
      if (model->second.checkpoint) return *model->second.checkpoint;
      return base::internal("the model '", name, "' is no checkpoint");
    }
    for (size_t i = 0; i < plan_.units.size(); ++i) {
      const Unit& unit = plan_.units[i];
      if (unit.name() != name || !entries_[i]) continue;
      if (unit.pass->info().output == Output::kArtifact) return open_model(unit.from);
      return format::Checkpoint::open(entries_[i]->output());
    }
    return base::internal("the model '", name, "' is not made yet");
  }

  // What a model or unit is besides a checkpoint.
  std::vector<Artifact> artifacts_of(const std::string& name) const {
    std::vector<Artifact> artifacts = plan_.artifacts_of(name);
    for (size_t i = 0; i < plan_.units.size(); ++i) {
      if (plan_.units[i].name() != name || !entries_[i]) continue;
      for (Artifact& artifact : artifacts) artifact.path = entries_[i]->output() / artifact.path;
    }
    return artifacts;
  }

  Origin origin_of(const std::string& name) const {
    Origin origin{.version = options_.version};
    const std::string* from = &name;
    for (size_t i = plan_.units.size(); i-- > 0;) {  // a unit's input stands before it
      const Unit& unit = plan_.units[i];
      if (unit.name() != *from || !entries_[i]) continue;
      base::Json record = start_fields(unit);
      for (const char* key : {"statistics", "tables"})
        record[key] = entries_[i]->record.value(key, base::Json());
      origin.steps.insert(origin.steps.begin(), std::move(record));
      from = &unit.from;
    }
    return origin;
  }

  // What one execution measured.
  struct Measured {
    double seconds = 0;
    base::Json energy;
    std::string energy_reason;
    std::optional<int64_t> peak_memory_bytes;
    bool peak_of_step = true;
  };

  absl::Status measured_run(const Unit& unit, UnitContext& context, Measured& measured) {
    measured.peak_of_step = base::reset_peak_resident_bytes();
    const auto begin = std::chrono::steady_clock::now();
    energy::Window window = meters_.begin(unit.name());
    absl::Status status = context.prepare();
    base::set_progress_gauge([this] { return meters_.recent_watts_text(); });
    if (status.ok()) status = run_guarded(*unit.pass, context);
    base::set_progress_gauge(nullptr);
    energy::WindowResult energy = window.end();
    measured.seconds = seconds_since(begin);
    measured.peak_memory_bytes = base::peak_resident_bytes();
    if (energy.meters.empty()) {
      for (const energy::Unavailable& meter : meters_.unavailable()) {
        measured.energy_reason += base::str_cat(measured.energy_reason.empty() ? "" : "; ",
                                                meter.name, ": ", meter.reason);
      }
      if (measured.energy_reason.empty()) measured.energy_reason = "no meter";
    } else {
      energy::apply_idle(energy, idle_power_);
      measured.energy = energy::to_json(energy);
    }
    return status;
  }

  absl::StatusOr<Cache::Entry> make_unit(size_t index) {
    const Unit& unit = plan_.units[index];
    Measured measured;
    auto entry = try_unit(unit, measured);
    if (entry.ok()) {
      ++result_.steps_run;
      return entry;
    }
    cache_.discard(unit.key);
    return unit_failed(index, entry.status(), measured);
  }

  // Journal and console of a unit that failed; returns the error with the unit's name.
  absl::Status unit_failed(size_t index, const absl::Status& error, const Measured& measured) {
    const Unit& unit = plan_.units[index];
    const bool stopped = base::is_interrupted(error);
    base::Json fields = start_fields(unit);
    fields["seconds"] = measured.seconds;
    fields["energy"] = measured.energy;
    if (measured.energy.is_null()) fields["energy_reason"] = measured.energy_reason;
    fields["error"] = std::string(error.message());
    fields["code"] = stopped ? "INTERRUPTED" : absl::StatusCodeToString(error.code());
    // On a full disk the journal may fail too; why the step failed says more.
    const absl::Status written = journal_.write("step_failed", fields);
    if (!written.ok()) base::warn(base::as_std(written.message()));
    if (!stopped) console_.failed(index, base::as_std(error.message()));
    return base::annotate(error, unit.name());
  }

  absl::StatusOr<Cache::Entry> try_unit(const Unit& unit, Measured& measured) {
    FRUGAL_RETURN_IF_ERROR(check_room_for(unit, cache_));
    FRUGAL_ASSIGN_OR_RETURN(const fs::path staging, cache_.begin(unit.key));
    FRUGAL_ASSIGN_OR_RETURN(const fs::path resume, cache_.resume_folder(unit.key));
    UnitContext context({plan_, unit, cache_, meters_, options_.device, staging, resume,
                         [this](const std::string& name) { return open_model(name); },
                         [this](const std::string& name) { return artifacts_of(name); },
                         [this](const std::string& name) { return origin_of(name); }});
    FRUGAL_RETURN_IF_ERROR(measured_run(unit, context, measured));
    FRUGAL_ASSIGN_OR_RETURN(base::Json output, describe_output(unit, context.output_folder()));
    const base::Json tables = context.tables();
    if (output.is_object() && !tables.contains("files")) {
      FRUGAL_ASSIGN_OR_RETURN(output["files"],
                              hash_files(context.output_folder(), "hash " + unit.name()));
    }
    base::Json record = {{"pass", unit.pass->info().name},
                         {"version", unit.pass->info().version},
                         {"key", unit.key},
                         {"made", utc_now()},
                         {"device", options_.device_description},
                         {"seconds", measured.seconds},
                         {"energy", measured.energy}};
    if (measured.energy.is_null()) record["energy_reason"] = measured.energy_reason;
    record["peak_memory_bytes"] =
        measured.peak_memory_bytes ? base::Json(*measured.peak_memory_bytes) : base::Json(nullptr);
    record["peak_memory_basis"] = measured.peak_of_step ? "step" : "whole process";
    record["statistics"] = context.statistics_json();
    record["tables"] = tables;
    record["output"] = std::move(output);
    FRUGAL_ASSIGN_OR_RETURN(record["items"], hash_files(staging / "items", "hash items"));
    record["warnings"] = context.warnings();
    FRUGAL_ASSIGN_OR_RETURN(Cache::Entry entry, cache_.publish(unit.key, record));
    cache_.remove_resume_folder(unit.key);
    return entry;
  }

  absl::Status finish_unit(size_t index, Cache::Entry entry, bool cached) {
    const Unit& unit = plan_.units[index];
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<std::string> paths, folder_.publish(unit, entry));
    base::Json record = start_fields(unit);
    record["cached"] = cached;
    for (const auto& [key, value] : entry.record.items()) {
      if (!record.contains(key)) record[key] = value;
    }
    if (record["output"].is_object()) {
      record["output"]["path"] = paths.empty() ? "" : paths.front();
      if (unit.pass->info().output == Output::kArtifact) record["output"]["artifacts"] = paths;
    }
    FRUGAL_RETURN_IF_ERROR(journal_.write("step_end", record));
    console_.step(index, record);
    if (cached) ++result_.steps_cached;
    if (unit.pass->info().output != Output::kNone) result_.outputs[index] = entry.output();
    result_.paths[index] = paths;
    records_.push_back(std::move(record));
    entries_[index] = std::move(entry);
    return absl::OkStatus();
  }

  void conclude(const absl::Status& status) {
    if (base::is_interrupted(status)) {
      result_.exit_code = kExitInterrupted;
      result_.message = base::str_cat(
          "interrupted; finished steps are kept. To go on, run the same command again:\n  ",
          options_.command);
    } else if (!status.ok()) {
      result_.exit_code = kExitFailed;
      result_.message = std::string(status.message());
    } else if (const auto& claim = plan_.pipeline.report.claim) {
      const GateResult gate = judge_gate(*claim, records_);
      if (!gate.met) {
        result_.exit_code = kExitGate;
        result_.message = gate.reason;
      }
    }
    if (!options_.report) return;
    const absl::Status drawn = options_.report(folder_.path());
    if (drawn.ok()) return;
    if (result_.exit_code == kExitDone) result_.exit_code = kExitFailed;
    result_.message += base::str_cat(result_.message.empty() ? "" : "\n",
                                     "the report was not drawn: ", drawn.message());
  }

 public:
  static std::string resolved_text(const Plan& plan) {
    return "# Written by frugal: the pipeline of this run with every default. It can be run again "
           "as it is.\n" +
           print_yaml(resolved_pipeline(plan));
  }

 private:
  const Plan& plan_;
  const Cache& cache_;
  energy::MeterSet& meters_;
  const RunOptions& options_;
  RunFolder folder_;
  Console& console_;
  Journal journal_;
  std::vector<std::optional<Cache::Entry>> entries_;
  std::vector<energy::IdlePower> idle_power_;
  std::vector<base::Json> records_;
  RunResult result_;
  bool needs_work_ = true;
};

}  // namespace

absl::StatusOr<RunResult> run_plan(const Plan& plan, const Cache& cache, energy::MeterSet& meters,
                                   const RunOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(RunFolder folder, RunFolder::open(options.run_folder));
  Console console(plan, options.style, options.color);
  FRUGAL_ASSIGN_OR_RETURN(
      Journal journal, Journal::open(folder.path() / "journal.jsonl",
                                     [&console](const std::string& line) { console.event(line); }));
  return Runner(plan, cache, meters, options, std::move(folder), console, std::move(journal)).run();
}

}  // namespace frugal::pass
