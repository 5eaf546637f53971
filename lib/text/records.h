// Records of a file of JSON or of a table, as named fields with the place they come from.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "base/text.h"

namespace frugal::text {

struct Record {
  base::string_map<std::string> fields;  // "text"; inside lists and objects "messages.0.content"
  std::string where;                     // "train.tsv:17"
  int64_t line = 0;
  std::vector<std::string> names = {};  // of the file, in its order: "messages", not what is inside
  base::Json json = nullptr;            // the object as it is; null in a table
};

// Calls `take` for every record until it returns false. Field values that are numbers or truth
// values become text. Files are read by content (data_file.h), also through gzip, and record by
// record: memory holds one of them, whatever the size of the file. Errors: malformed
// lines, invalid UTF-8, an unequal number of columns, each with file and line; a file of another
// form, with what to use for it.
//
// read_jsonl: an object on each line, or one array of objects; a string stands for {"text": …}.
absl::Status read_jsonl(const std::filesystem::path& path,
                        const std::function<absl::StatusOr<bool>(Record)>& take);
// read_table: a header line, then fields behind tabs as they are; or behind commas or semicolons,
// where quotes may hold separators, line breaks and doubled quotes (RFC 4180).
absl::Status read_table(const std::filesystem::path& path,
                        const std::function<absl::StatusOr<bool>(Record)>& take);

// What datasets call the list of a conversation's turns.
inline constexpr std::string_view kConversationFields[] = {"messages", "conversations",
                                                           "conversation", "chat"};

// "id, messages (a list of 2: role, content)": what a record has, for messages.
std::string describe_fields(const Record& record);

// Templates that would map this very record, for messages: "prompt: '{messages.0.content}',
// completion: '{messages.1.content}'"; a conversation also by `chat: true`.
std::string suggest_templates(const Record& record);

}  // namespace frugal::text
