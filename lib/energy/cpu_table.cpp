#include "energy/cpu_table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "absl/strings/ascii.h"
#include "base/text.h"
#include "energy/cpu_table_text.h"
#include "energy/plausible.h"
#include "energy/strict_yaml.h"

namespace frugal::energy {
namespace {

using base::str_cat;

constexpr double kLeastWatts = 1, kMostWatts = 2000;

std::optional<int64_t> parse_number(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

// "0x10-0x17", "106".
void read_models(StrictMap& map, CpuGeneration* generation) {
  const std::string text = map.text("models");
  const size_t dash = text.find('-');
  const auto first = parse_number(std::string_view(text).substr(0, dash));
  const auto last =
      dash == std::string::npos ? first : parse_number(std::string_view(text).substr(dash + 1));
  if (!first || !last || *first > *last) {
    map.complain_of("models", str_cat("'models' is '", text,
                                      "', expected a number or a range of them such as 0x10-0x17"));
    return;
  }
  generation->first_model = *first;
  generation->last_model = *last;
}

CpuPart read_part(StrictMap map, const std::string& name) {
  const auto slip = [](double value) {
    return likely_unit(value, kLeastWatts, kMostWatts, {{"kilowatts", 1000}, {"milliwatts", 1e-3}});
  };
  CpuPart part;
  part.name = name;
  part.year = map.integer("year", 1990, 2100);
  part.cores = map.integer("cores", 1, 4096);
  part.threads = map.integer("threads", 1, 4096);
  part.tdp_watts = map.number("tdp_watts", kLeastWatts, kMostWatts, slip);
  part.max_watts = map.number_or_none("max_watts", kLeastWatts, kMostWatts, slip);
  if (part.threads < part.cores) map.complain("'threads' is below 'cores'");
  if (part.max_watts && *part.max_watts < part.tdp_watts)
    map.complain("'max_watts' is below 'tdp_watts'");
  return part;
}

CpuGeneration read_generation(StrictMap map, const std::map<std::string, std::string>& sources) {
  CpuGeneration generation;
  generation.name = map.text("name");
  generation.vendor = map.text("vendor");
  generation.family = map.integer("family", 0, 255);
  read_models(map, &generation);
  const std::string source = map.text("source");
  const auto found = sources.find(source);
  if (found == sources.end()) {
    map.complain_of("source", str_cat("'source' is '", source, "', which `sources` does not name"));
  } else {
    generation.source = found->second;
  }
  StrictMap parts = map.map("cpus");
  for (const std::string& name : parts.keys())
    generation.parts.push_back(read_part(parts.map(name), name));
  if (generation.parts.empty()) map.complain("'cpus' lists none");
  return generation;
}

bool claims(const CpuGeneration& generation, const CpuIdentity& cpu) {
  return cpu.family && cpu.model && generation.vendor == cpu.vendor &&
         generation.family == *cpu.family && *cpu.model >= generation.first_model &&
         *cpu.model <= generation.last_model;
}

bool overlap(const CpuGeneration& a, const CpuGeneration& b) {
  return a.vendor == b.vendor && a.family == b.family && a.first_model <= b.last_model &&
         b.first_model <= a.last_model;
}

// " amd epyc 7763 64-core " of "AMD EPYC(TM) 7763 64-Core Processor": words, between spaces. In
// small letters: Emerald Rapids calls itself "INTEL(R) XEON(R) PLATINUM 8592+".
std::string words_of(std::string_view name) {
  std::string text = absl::AsciiStrToLower(base::as_absl(name));
  for (const char* mark : {"(r)", "(tm)", "®", "™"}) {
    for (size_t at; (at = text.find(mark)) != std::string::npos;)
      text.replace(at, std::string_view(mark).size(), " ");
  }
  std::string out = " ";
  for (const std::string& word : base::split(text, ' ')) {
    if (!word.empty() && word != "cpu" && word != "processor") out += word + " ";
  }
  return out;
}

// For sentences.
double rounded(double watts) { return std::round(100 * watts) / 100; }

double watts_per_thread(const CpuPart& part) {
  return part.tdp_watts / static_cast<double>(part.threads);
}

// Factors below and above an estimate, gathered from independent sources.
class Doubt {
 public:
  void add(double below, double above) {
    below_ += square(std::log(std::min(below, 1.0)));
    above_ += square(std::log(std::max(above, 1.0)));
  }
  Range around(double estimate) const {
    return {estimate * std::exp(-std::sqrt(below_)), estimate * std::exp(std::sqrt(above_))};
  }

 private:
  static double square(double value) { return value * value; }
  double below_ = 0, above_ = 0;
};

constexpr std::string_view kGuestThreads =
    "; the virtual machine does not say whether a thread is a whole core";

// A guest that shows one thread for each core of a part that has two: it may own all of the core.
void add_hidden_threads(const CpuIdentity& cpu, double threads_per_core, Doubt* doubt,
                        std::string* basis) {
  if (!cpu.guest || cpu.threads_per_core != 1 || threads_per_core <= 1) return;
  doubt->add(1, threads_per_core);
  *basis += kGuestThreads;
}

ThreadPower power_of(const CpuIdentity& cpu, const CpuGeneration& generation, const CpuPart& part) {
  const double threads_per_core =
      static_cast<double>(part.threads) / static_cast<double>(part.cores);
  // The owner of the machine may have switched the second threads off.
  const bool whole_cores = !cpu.guest && cpu.threads_per_core == 1;
  const int64_t divisor = whole_cores ? part.cores : part.threads;
  ThreadPower out;
  out.match = ThreadPower::Match::kPart;
  out.watts = part.tdp_watts / static_cast<double>(divisor);
  out.basis = str_cat(part.tdp_watts, " W / ", divisor, whole_cores ? " cores" : " threads", " of ",
                      part.name, " (", generation.source, ", ", part.year, ")");
  Doubt doubt;
  doubt.add(kLoadShare.low,
            kLoadShare.high * part.max_watts.value_or(part.tdp_watts) / part.tdp_watts);
  add_hidden_threads(cpu, threads_per_core, &doubt, &out.basis);
  out.range = doubt.around(out.watts);
  return out;
}

struct Spread {
  double low, middle, high;  // watts per thread; the middle is the median
};

Spread spread_of(std::vector<double> watts) {
  std::sort(watts.begin(), watts.end());
  const size_t half = watts.size() / 2;
  const double middle = watts.size() % 2 == 1 ? watts[half] : (watts[half - 1] + watts[half]) / 2;
  return {watts.front(), middle, watts.back()};
}

ThreadPower power_of(const CpuIdentity& cpu, const CpuGeneration& generation) {
  std::vector<double> watts;
  double threads_per_core = 1, above_tdp = 1;
  int64_t first_year = generation.parts[0].year, last_year = first_year;
  for (const CpuPart& part : generation.parts) {
    watts.push_back(watts_per_thread(part));
    threads_per_core = std::max(
        threads_per_core, static_cast<double>(part.threads) / static_cast<double>(part.cores));
    above_tdp = std::max(above_tdp, part.max_watts.value_or(part.tdp_watts) / part.tdp_watts);
    first_year = std::min(first_year, part.year);
    last_year = std::max(last_year, part.year);
  }
  const Spread spread = spread_of(watts);
  ThreadPower out;
  out.match = ThreadPower::Match::kGeneration;
  out.watts = spread.middle;
  out.basis = str_cat("the median ", rounded(spread.middle), " W per thread of ", watts.size(),
                      " parts of ", generation.name, ", which have from ", rounded(spread.low),
                      " to ", rounded(spread.high), " (", generation.source, ", ", first_year,
                      first_year == last_year ? "" : str_cat("-", last_year), ")");
  Doubt doubt;
  doubt.add(spread.low / spread.middle, spread.high / spread.middle);
  doubt.add(kLoadShare.low, kLoadShare.high * above_tdp);
  add_hidden_threads(cpu, threads_per_core, &doubt, &out.basis);
  out.range = doubt.around(out.watts);
  return out;
}

ThreadPower unknown_power(const CpuIdentity& cpu, const CpuTable& table) {
  std::vector<double> watts;
  for (const CpuGeneration& generation : table.generations) {
    for (const CpuPart& part : generation.parts) watts.push_back(watts_per_thread(part));
  }
  ThreadPower out;
  out.watts = kAssumedWattsPerThread;
  out.basis = str_cat("assumed ", kAssumedWattsPerThread,
                      " W per hardware thread (CPU unknown: ", describe(cpu),
                      "; give its data sheet's numbers with --hardware)");
  Doubt doubt;
  doubt.add(kLoadShare.low, kLoadShare.high);
  if (!watts.empty()) {
    const Spread spread = spread_of(watts);
    doubt.add(spread.low / out.watts, spread.high / out.watts);
  }
  out.range = doubt.around(out.watts);
  return out;
}

}  // namespace

absl::StatusOr<CpuTable> parse_cpu_table(std::string_view text, std::string_view where) {
  StrictMap map = StrictMap::parse(text, where);
  std::map<std::string, std::string> sources;
  StrictMap named = map.map("sources");
  for (const std::string& key : named.keys()) sources[key] = named.text(key);
  CpuTable table;
  StrictMap generations = map.map("generations");
  for (const std::string& key : generations.keys()) {
    CpuGeneration next = read_generation(generations.map(key), sources);
    for (const CpuGeneration& other : table.generations) {
      if (overlap(next, other))
        generations.complain_of(key,
                                str_cat("'", key, "' claims models that belong to ", other.name));
    }
    table.generations.push_back(std::move(next));
  }
  FRUGAL_RETURN_IF_ERROR(map.finish());
  return table;
}

const CpuTable& built_in_cpus() {
  // The tests parse the same text: an error cannot leave the build.
  static const CpuTable kTable = parse_cpu_table(kCpuTableText, "configs/cpus.yaml").value();
  return kTable;
}

ThreadPower thread_power(const CpuIdentity& cpu, const CpuTable& table) {
  const std::string words = words_of(cpu.name);
  for (const CpuGeneration& generation : table.generations) {
    for (const CpuPart& part : generation.parts) {
      if (words.find(words_of(part.name)) != std::string::npos)
        return power_of(cpu, generation, part);
    }
  }
  for (const CpuGeneration& generation : table.generations) {
    if (claims(generation, cpu)) return power_of(cpu, generation);
  }
  return unknown_power(cpu, table);
}

ThreadPower thread_power_of(double tdp_watts, int64_t threads, double load_factor,
                            std::string_view basis) {
  const double full = tdp_watts / static_cast<double>(threads);
  ThreadPower out;
  out.match = ThreadPower::Match::kPart;
  out.watts = full * load_factor;
  out.range = {full * std::min(kLoadShare.low, load_factor),
               full * std::max(kLoadShare.high, load_factor)};
  out.basis = basis;
  return out;
}

}  // namespace frugal::energy
