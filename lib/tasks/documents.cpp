#include "tasks/documents.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.h"
#include "chat/unicode.h"
#include "tasks/python_text.h"
#include "tasks/wikitext.h"
#include "text/data_file.h"
#include "text/records.h"

namespace frugal::tasks {
namespace {

namespace fs = std::filesystem;
using base::Json;

bool is_published(const TaskConfig& task) {
  return task.dataset_path != "json" && task.dataset_path != "csv";
}

absl::StatusOr<fs::path> published_file(const TaskConfig& task, std::string_view split,
                                        const fs::path& folder) {
  std::vector<std::string> tried;
  for (const fs::path& place : {folder / task.dataset_name, folder}) {
    for (const char* suffix :
         {".jsonl", ".json", ".csv", ".tsv", ".jsonl.gz", ".json.gz", ".csv.gz"}) {
      const fs::path file = place / base::str_cat(split, suffix);
      std::error_code error;
      if (!folder.empty() && fs::is_regular_file(file, error)) return file;
    }
  }
  const std::string name =
      task.dataset_name.empty() ? "" : base::str_cat(", '", task.dataset_name, "'");
  return base::not_found(
      "task '", task.name, "' is about the data set '", task.dataset_path, "'", name,
      ", which frugal does not fetch; name a folder that holds ", split,
      ".jsonl. Where the data set is at hand in Python, this writes it: datasets.load_dataset('",
      task.dataset_path, "'", name, ", split='", split, "').to_json('", split, ".jsonl')",
      folder.empty() ? "" : base::str_cat("; found none in ", folder.string()));
}

std::optional<int64_t> integer_of(std::string_view text) {
  int64_t value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  return error == std::errc() && end == last && !text.empty() ? std::optional(value) : std::nullopt;
}

// Columns of whole numbers become such.
void type_columns(std::vector<Json>& rows, const Columns& columns) {
  for (const std::string& column : columns) {
    const bool whole = std::all_of(rows.begin(), rows.end(), [&](const Json& row) {
      return integer_of(row[column].get_ref<const std::string&>()).has_value();
    });
    if (!whole) continue;
    for (Json& row : rows) row[column] = *integer_of(row[column].get_ref<const std::string&>());
  }
}

absl::Status read_records(const fs::path& file, std::vector<Json>& rows, bool& table) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string head, text::read_data_head(file));
  table = text::data_form(head, file) == text::DataForm::kTable;
  if (table) {
    return text::read_table(file, [&](text::Record record) -> absl::StatusOr<bool> {
      Json& row = rows.emplace_back(Json::object());
      for (const std::string& name : record.names) row[name] = record.fields[name];
      return true;
    });
  }
  return text::read_jsonl(file, [&](text::Record record) -> absl::StatusOr<bool> {
    rows.push_back(std::move(record.json));
    return true;
  });
}

// [title] and other marks of the pages that HellaSwag is made of.
std::string without_marks(std::string_view text) {
  std::string out;
  const std::string titled = replace_all(chat::strip(text, chat::Sides::kBoth), " [title]", ". ");
  for (size_t at = 0; at < titled.size();) {
    const size_t end = titled[at] == '[' ? titled.find_first_of("]\n", at) : std::string::npos;
    if (end != std::string::npos && titled[end] == ']') {
      at = end + 1;
    } else {
      out += titled[at++];
    }
  }
  return replace_all(out, "  ", " ");
}

absl::StatusOr<Json> gold_of(const Json& label) {
  if (label.is_number_integer()) return label;
  const auto gold =
      label.is_string() ? integer_of(label.get_ref<const std::string&>()) : std::nullopt;
  if (!gold) return base::invalid_argument("has the label ", label.dump(), ", expected a number");
  return Json(*gold);
}

absl::Status prepare_hellaswag(Json& document) {
  for (const char* key : {"activity_label", "ctx_a", "ctx_b"}) {
    if (!document.contains(key) || !document[key].is_string())
      return base::invalid_argument("has no text '", key,
                                    "'; HellaSwag's documents have "
                                    "activity_label, ctx_a, ctx_b, endings and label");
  }
  if (!document.contains("endings") || !document["endings"].is_array() ||
      !document.contains("label"))
    return base::invalid_argument("has no list 'endings' or no 'label'");
  document["query"] = without_marks(base::str_cat(
      document["activity_label"].get<std::string>(), ": ", document["ctx_a"].get<std::string>(),
      " ", chat::capitalize(document["ctx_b"].get<std::string>())));
  Json choices = Json::array();
  for (const Json& ending : document["endings"]) {
    if (!ending.is_string()) return base::invalid_argument("has an ending that is no text");
    choices.push_back(without_marks(ending.get<std::string>()));
  }
  document["choices"] = std::move(choices);
  FRUGAL_ASSIGN_OR_RETURN(document["gold"], gold_of(document["label"]));
  return absl::OkStatus();
}

absl::Status prepare_wikitext(Json& document) {
  if (!document.contains("page") || !document["page"].is_string())
    return base::invalid_argument("has no text 'page', which holds a whole page of WikiText");
  document["text"] = wikitext_text(document["page"].get_ref<const std::string&>());
  return absl::OkStatus();
}

absl::Status prepare(const std::string& preprocessing, Documents& documents) {
  if (preprocessing.empty()) return absl::OkStatus();
  const bool wikitext = preprocessing == kWikitext;
  for (size_t i = 0; i < documents.rows.size(); ++i) {
    Json& document = documents.rows[i];
    FRUGAL_RETURN_IF_ERROR(
        base::annotate(wikitext ? prepare_wikitext(document) : prepare_hellaswag(document),
                       base::str_cat("document ", i)));
  }
  if (wikitext)
    documents.columns.insert("text");
  else
    documents.columns.insert({"query", "choices", "gold"});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<fs::path>> document_files(const TaskConfig& task, std::string_view split,
                                                     const fs::path& folder) {
  if (is_published(task)) {
    FRUGAL_ASSIGN_OR_RETURN(const fs::path file, published_file(task, split, folder));
    return std::vector<fs::path>{file};
  }
  const auto names = task.data_files.find(std::string(split));
  if (names == task.data_files.end() || names->second.empty())
    return base::invalid_argument("task '", task.name, "': data_files names no file of the split '",
                                  split, "'");
  std::vector<fs::path> files;
  for (const std::string& name : names->second) {
    const fs::path file = (folder.empty() ? task.folder : folder) / name;
    std::error_code error;
    if (!fs::is_regular_file(file, error))
      return base::not_found("task '", task.name, "': there is no file '", file.string(),
                             "' of the split '", split, "'",
                             folder.empty() ? "; name the folder that holds it" : "");
    files.push_back(file);
  }
  return files;
}

const std::string& example_split(const TaskConfig& task) {
  for (const std::string* split :
       {&task.fewshot.split, &task.training_split, &task.validation_split}) {
    if (!split->empty()) return *split;
  }
  return task.test_split;
}

absl::StatusOr<std::vector<fs::path>> document_files(const TaskConfig& task,
                                                     const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(std::vector<fs::path> files,
                          document_files(task, task.evaluated_split(), folder));
  const FewShotConfig& shots = task.fewshot;
  if (shots.split.empty() && shots.has_samples) return files;
  const absl::StatusOr<std::vector<fs::path>> some =
      document_files(task, example_split(task), folder);
  // Where none are asked for, examples need not be there.
  if (!some.ok()) {
    if (shots.count > 0) return some.status();
    return files;
  }
  for (const fs::path& file : *some) {
    if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
  }
  return files;
}

absl::StatusOr<Documents> load_documents(const TaskConfig& task, std::string_view split,
                                         const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<fs::path> files, document_files(task, split, folder));
  Documents documents;
  for (const fs::path& file : files) {
    std::vector<Json> rows;
    bool table = false;
    FRUGAL_RETURN_IF_ERROR(read_records(file, rows, table));
    Columns columns;
    for (const Json& row : rows) {
      for (const auto& [key, value] : row.items()) columns.insert(key);
    }
    if (table) type_columns(rows, columns);
    documents.columns.insert(columns.begin(), columns.end());
    std::move(rows.begin(), rows.end(), std::back_inserter(documents.rows));
  }
  if (documents.rows.empty())
    return base::invalid_argument("task '", task.name, "': the split '", split, "' is empty");
  FRUGAL_RETURN_IF_ERROR(
      base::annotate(prepare(task.preprocessing, documents),
                     base::str_cat("task '", task.name, "', split '", split, "'")));
  return documents;
}

}  // namespace frugal::tasks
