#include "report/card.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "pass/model_card.h"
#include "pass/step_words.h"
#include "report/access.h"
#include "report/architectures.h"
#include "report/card_run.h"
#include "report/claim.h"
#include "report/findings.h"
#include "report/markup.h"
#include "report/models.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str_cat;

constexpr std::string_view kUnknown = "not known";

std::string file_name(const std::string& path) { return fs::path(path).filename().string(); }

std::string bytes_text(int64_t bytes) {
  return str_cat(base::format_count(bytes), " (", base::format_bytes(static_cast<double>(bytes)),
                 ")");
}

// "12.4 J, modelled (may be 6.2 to 37.2 J; short window)", or why there is none.
std::string joules_text(const Json& number) {
  if (!any_at(number, "value").is_number()) {
    const std::string reason = text_at(number, "reason");
    return str_cat(kUnknown, reason.empty() ? "" : ": ", markdown_text(reason));
  }
  std::vector<std::string> doubts;
  if (const Json range = object_at(number, "range"); !range.empty()) {
    doubts.push_back(str_cat("may be ", in_words(number_at(range, "low"), ""), " to ",
                             in_words(number_at(range, "high"), ""), " J"));
  }
  for (const Json& mark : list_at(number, "marks")) {
    if (mark.is_string()) doubts.push_back(markdown_text(mark.get<std::string>()));
  }
  return str_cat(in_words(number_at(number, "value"), ""), " J, ",
                 text_at(number, "provenance", "measured"),
                 doubts.empty() ? "" : str_cat(" (", base::join(doubts, "; "), ")"));
}

// An artifact of an export step, with all that the journal and the page know of it.
class CardText {
 public:
  CardText(const JournalView& journal, const Json& report, const Json& step, const Json& artifact)
      : journal_(journal),
        report_(report),
        step_(step),
        name_(text_at(artifact, "name")),
        format_(text_at(artifact, "format")) {
    const Json tables = object_at(step, "tables");
    parts_ = list_at(tables, "parts");
    const Json facts = list_at(tables, "card");
    facts_ = facts.empty() ? Json::object() : facts[0];
    for (const Json& file : list_at(tables, "files")) {
      const std::string path = text_at(file, "path");
      const std::string top = path.substr(0, path.find('/'));
      if (pass::card_name(top) == pass::card_name(name_)) files_.push_back(file);
    }
    const Json from = list_at(step, "from");
    model_name_ = from.empty() || !from[0].is_string() ? "" : from[0].get<std::string>();
    model_ = find_model(report["models"], model_name_);
    for (const Json& row : list_at(report, "served")) {
      if (text_at(row, "model") == step_name(step) && text_at(row, "format") == format_)
        served_.push_back(row);
    }
    find_lineage();
  }

  // Whether the link below the run folder is of this artifact.
  bool is_at(const std::string& path) const {
    const std::string own = pass::card_name(name_), there = pass::card_name(file_name(path));
    return there == own || there == str_cat(text_at(step_, "id"), "-", own);
  }

  std::string text() const {
    return str_cat(head(), "\n# ", markdown_text(name_), "\n\n", what(), "\n## How it was made\n\n",
                   making(), "\n## Size\n\n", size(), "\n## Quality\n\n", quality(),
                   "\n## Energy\n\n", energy(), "\n## How to run it\n\n", running(),
                   "\n## Files\n\n", files());
  }

 private:
  // Steps that led to the artifact, it included, first to last; each by the name of what it made.
  void find_lineage() {
    lineage_ = {&step_};
    given_ = model_name_;
    for (auto step = journal_.steps.rbegin(); step != journal_.steps.rend(); ++step) {
      if (text_at(*step, "event") != "step_end" || step_name(*step) != given_) continue;
      lineage_.insert(lineage_.begin(), &*step);
      const Json from = list_at(*step, "from");
      given_ = from.empty() || !from[0].is_string() ? "" : from[0].get<std::string>();
    }
  }

  bool is_quantized() const {
    return std::any_of(lineage_.begin(), lineage_.end(),
                       [](const Json* step) { return text_at(*step, "pass") == "quantize"; });
  }

  // The file or folder that a user names.
  std::string path_to_run() const {
    const bool in_parts = files_.size() > 1 && format_ == "gguf";
    return in_parts ? text_at(files_[0], "path") : name_;
  }

  std::string head() const {
    std::string out = str_cat("---\n", pass::kCardMark, "\n");
    const auto add = [&](std::string_view key, std::string_view value) {
      out += str_cat(key, ": ", yaml_scalar(value), "\n");
    };
    const auto add_list = [&](std::string_view key, const std::vector<std::string>& values) {
      if (values.empty()) return;
      out += str_cat(key, ":\n");
      for (const std::string& value : values) out += str_cat("- ", yaml_scalar(value), "\n");
    };
    add("library_name", running_of(format_, "").library);
    add("pipeline_tag", "text-generation");
    for (const char* key : {"base_model", "license", "license_name", "license_link"}) {
      if (const std::string value = text_at(facts_, key); !value.empty()) add(key, value);
    }
    add_list("language", texts_at("languages"));
    std::vector<std::string> tags = texts_at("tags");
    for (const std::string& tag : {std::string("frugal"), format_}) {
      if (std::find(tags.begin(), tags.end(), tag) == tags.end()) tags.push_back(tag);
    }
    add_list("tags", tags);
    if (is_quantized()) add("quantized_by", "frugal");
    return out + "---\n";
  }

  std::vector<std::string> texts_at(std::string_view key) const {
    std::vector<std::string> texts;
    for (const Json& entry : list_at(facts_, key)) {
      if (entry.is_string()) texts.push_back(entry.get<std::string>());
    }
    return texts;
  }

  std::string what() const {
    const std::string architecture = model_ == nullptr ? "" : text_at(*model_, "architecture");
    const Json* parameters = model_ == nullptr ? nullptr : find_number(*model_, "parameters");
    std::string out = str_cat(
        "The model ", markdown_code(model_name_), " as ", markdown_text(format_), ": architecture ",
        architecture.empty() ? std::string(kUnknown) : markdown_text(architecture), ", ",
        parameters == nullptr
            ? str_cat("number of parameters ", kUnknown)
            : str_cat(in_words(number_at(*parameters, "value"), "count"), " parameters"),
        ", ", bytes_text(total_bytes()), " bytes.\n\n");
    const std::string base = text_at(facts_, "base_model");
    const std::string loaded = text_at(facts_, "loaded_from");
    out += str_cat(
        "- Base model: ",
        !base.empty() ? markdown_text(base)
        : !loaded.empty()
            ? str_cat("not named; config.json says that it was loaded from ", markdown_code(loaded))
            : std::string(kUnknown),
        "\n");
    const std::string license = text_at(facts_, "license");
    return out + str_cat("- License: ",
                         license.empty()
                             ? str_cat(kUnknown, " to frugal; that of the base model holds")
                             : markdown_text(license),
                         "\n");
  }

  std::string making() const {
    std::string out;
    int number = 0;
    if (!given_.empty()) out += str_cat(++number, ". ", markdown_code(given_), " was given.\n");
    for (const Json* step : lineage_)
      out += str_cat(++number, ". ", markdown_text(pass::step_in_words(*step)), ".\n");
    const std::string version = text_at(report_, "frugal");
    out += str_cat("\nMade by frugal ",
                   version.empty() ? std::string(kUnknown) : markdown_text(version), ", seed ",
                   any_at(report_, "seed").dump(), "; SHA-256 of the run's journal ",
                   markdown_code(text_at(report_, "journal_sha256")), ".\n\n",
                   "<details><summary>All options</summary>\n\n");
    std::string options;
    for (const Json* step : lineage_) {
      const Json record = {{"step", step_name(*step)},
                           {"pass", text_at(*step, "pass")},
                           {"options", object_at(*step, "options")}};
      options += record.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
    }
    return out + markdown_block("json", options) + "\n</details>\n";
  }

  int64_t total_bytes() const {
    int64_t bytes = 0;
    for (const Json& file : files_) bytes += integer_at(file, "bytes");
    return bytes;
  }

  std::string size() const {
    std::string out =
        "| part | type | weights | bytes | bits per weight |\n|---|---|---:|---:|---:|\n";
    int64_t left = total_bytes();
    for (const Json& part : parts_) {
      if (text_at(part, "format") != format_) continue;
      const int64_t bytes = integer_at(part, "bytes"), weights = integer_at(part, "weights");
      left -= bytes;
      out += str_cat("| ", markdown_text(text_at(part, "part")), " | ",
                     markdown_text(text_at(part, "type")), " | ",
                     weights > 0 ? base::format_count(weights) : "–", " | ",
                     base::format_count(bytes), " | ",
                     weights > 0 ? absl::StrFormat("%.2f", 8.0 * static_cast<double>(bytes) /
                                                               static_cast<double>(weights))
                                 : "–",
                     " |\n");
    }
    return out + str_cat("| tokenizer, config and all else | | | ", base::format_count(left),
                         " | |\n| **all files** | | | **", base::format_count(total_bytes()),
                         "** | |\n");
  }

  // The columns of the page that say how good a model is, where this one has the number.
  std::string quality() const {
    std::string rows;
    const std::string baseline = baseline_of(journal_);
    const Json* reference =
        baseline == model_name_ ? nullptr : find_model(report_["models"], baseline);
    for (const Json& column : report_["columns"]) {
      const std::string key = text_at(column, "key");
      if (is_size(key)) continue;
      const Json* number = model_ == nullptr ? nullptr : find_number(*model_, key);
      if (number == nullptr) continue;
      const Json* other = reference == nullptr ? nullptr : find_number(*reference, key);
      rows += quality_row(column, *number, other);
    }
    const std::string served = served_quality();
    if (rows.empty() && !served.empty()) return served.substr(1);
    if (rows.empty()) return "Not measured: no evaluation of this model was part of the run.\n";
    return str_cat(
        "Measured in frugal's own forward on the very integers that these files hold; a "
        "runtime that rounds activations differs by what that costs.\n\n| metric | value | "
        "interval | n | how | ",
        reference == nullptr ? "baseline" : markdown_text(baseline),
        " |\n|---|---:|---:|---:|---|---:|\n", rows, comparisons(), served);
  }

  static std::string quality_row(const Json& column, const Json& number, const Json* reference) {
    const std::string unit = text_at(column, "unit");
    const auto words = [&](const Json& of, std::string_view key) {
      return any_at(of, key).is_number() ? in_words(number_at(of, key), unit) : std::string("–");
    };
    const std::string low = words(number, "low"), high = words(number, "high");
    const bool bounded = low != "–" && high != "–";
    return str_cat(
        "| ", markdown_text(text_at(column, "title")), " | ", words(number, "value"), " | ",
        bounded ? absl::StrFormat("%s to %s (%.0f%%)", low, high,
                                  100 * number_at(number, "confidence", 0.95))
                : "–",
        " | ", integer_at(number, "n") > 0 ? base::format_count(integer_at(number, "n")) : "–",
        " | ", markdown_text(text_at(number, "provenance", "measured")), " | ",
        reference == nullptr ? "–" : words(*reference, "value"), " |\n");
  }

  // Differences that were tested, in the words of the test.
  std::string comparisons() const {
    std::string out;
    for (const Json& row : list_at(object_at(report_["figures"], "comparisons"), "all")) {
      if (text_at(row, "model") != model_name_ || !any_at(row, "difference").is_number()) continue;
      out += absl::StrFormat(
          "\n%s against %s, paired: difference %.4g, %.0f%% interval %.4g to %.4g; %s.\n",
          markdown_text(text_at(row, "metric")), markdown_text(text_at(row, "reference")),
          number_at(row, "difference"), 100 * number_at(row, "confidence", 0.95),
          number_at(row, "low"), number_at(row, "high"),
          markdown_text(text_at(row, "verdict", "no verdict")));
    }
    return out;
  }

  std::string energy() const {
    std::string out = "| step | time | energy |\n|---|---:|---|\n";
    for (const Json* step : lineage_) {
      out += str_cat("| ", markdown_text(step_name(*step)),
                     flag_at(*step, "cached", false) ? " (of an earlier run)" : "", " | ",
                     base::format_duration(number_at(*step, "seconds")), " | ",
                     joules_text(energy_number(*step)), " |\n");
    }
    const std::string served = served_energy();
    if (!served.empty()) return str_cat(out, "\n", served);
    const Json figure = object_at(report_["figures"], "architectures");
    const Json* joules = model_ == nullptr || figure.empty()
                             ? nullptr
                             : architecture_number(figure["rows"], *model_, kEnergy);
    if (joules == nullptr) return out + "\nEnergy of running it: not measured in this run.\n";
    return out +
           str_cat("\nEnergy of running its architecture: ", joules_text(*joules),
                   " per million tokens, of frugal's own forward in fp32. That depends on the "
                   "architecture and not on the grid of the weights; what these files take in "
                   "the runtime that reads them was not measured.\n");
  }

  // What a response takes in the runtimes that these files were metered in.
  std::string served_energy() const {
    std::string out;
    for (const Json& row : served_) {
      const Json* joules = find_number(row, kResponseEnergy);
      if (joules == nullptr) continue;
      const Json* million = find_number(row, kEnergy);
      out += str_cat("Energy of a response in ", markdown_text(text_at(row, "engine")), ": ",
                     joules_text(*joules),
                     million == nullptr ? "" : "; " + joules_text(*million) + " per million tokens",
                     ".\n");
    }
    return out;
  }

  // The same columns as its runtimes computed them: what a user of these files gets.
  std::string served_quality() const {
    std::string out;
    for (const Json& row : served_) {
      std::string rows;
      for (const Json& column : report_["columns"]) {
        const Json* number = find_number(row, text_at(column, "key"));
        if (number != nullptr && !is_size(text_at(column, "key")))
          rows += quality_row(column, *number, nullptr);
      }
      if (rows.empty()) continue;
      out += str_cat("\nMeasured on these files in ", markdown_text(text_at(row, "engine")),
                     ":\n\n| metric | value | interval | n | how | baseline "
                     "|\n|---|---:|---:|---:|---|---:|\n",
                     rows);
    }
    return out;
  }

  static bool is_size(std::string_view key) {
    return key == "weight_bytes" || key == "bits_per_weight" || key == "parameters";
  }

  std::string running() const {
    const Running running = running_of(format_, path_to_run());
    return str_cat("With ", running.title, ":\n\n", running.commands);
  }

  std::string files() const {
    std::string out = "| file | bytes | SHA-256 |\n|---|---:|---|\n";
    for (const Json& file : files_) {
      out += str_cat("| ", markdown_text(text_at(file, "path")), " | ",
                     base::format_count(integer_at(file, "bytes")), " | ",
                     markdown_code(text_at(file, "sha256")), " |\n");
    }
    return out;
  }

  const JournalView& journal_;
  const Json& report_;
  const Json& step_;
  std::string name_, format_, model_name_, given_;
  Json parts_, facts_;
  std::vector<Json> files_;
  const Json* model_ = nullptr;
  std::vector<Json> served_;  // its rows in the runtimes that scored or metered it
  std::vector<const Json*> lineage_;
};

}  // namespace

std::vector<Card> model_cards(const JournalView& journal, const Json& report) {
  std::vector<Card> cards;
  for (const Json& step : journal.steps) {
    if (text_at(step, "event") != "step_end" || text_at(step, "pass") != "export") continue;
    if (!flag_at(object_at(step, "options"), "card", false)) continue;
    const Json links = list_at(object_at(step, "output"), "artifacts");
    for (const Json& artifact : list_at(object_at(step, "tables"), "artifacts")) {
      const CardText card(journal, report, step, artifact);
      const auto link = std::find_if(links.begin(), links.end(), [&](const Json& path) {
        return path.is_string() && card.is_at(path.get<std::string>());
      });
      if (link == links.end()) continue;
      const fs::path path(link->get<std::string>());
      cards.push_back(
          {(path.parent_path() / pass::card_name(path.filename().string())).string(), card.text()});
    }
  }
  return cards;
}

absl::Status write_cards(const fs::path& run_folder, const JournalView& journal,
                         const Json& report) {
  for (const Card& card : model_cards(journal, report)) {
    FRUGAL_ASSIGN_OR_RETURN(const fs::path path, base::resolve_inside(run_folder, card.path));
    FRUGAL_ASSIGN_OR_RETURN(const bool exists, base::exists(path));
    if (exists && !pass::is_own_card(path)) {
      base::warn("'", path.string(), "' is not a card that frugal wrote, and is left as it is");
      continue;
    }
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) return base::system_error("create", path.parent_path().string(), error.value());
    FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(path, card.text));
  }
  return absl::OkStatus();
}

}  // namespace frugal::report
