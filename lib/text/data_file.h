// Files of examples and texts by their content: unpacked where that is gzip, refused by name where
// they are of a kind that is not read (Parquet, Arrow, other archives, UTF-16).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::text {

enum class DataForm {
  kText,       // anything else
  kJsonLines,  // an object (or a string) on each line
  kJsonArray,  // one array of them
  kTable,      // fields behind tabs, commas or semicolons, with a header
};

// A file as text from front to back, without gzip around it; memory holds a window of it.
class DataStream {
 public:
  // Errors: a kind that is not read, with how to convert it.
  static absl::StatusOr<DataStream> open(const std::filesystem::path& path);
  DataStream(DataStream&&) noexcept;
  DataStream& operator=(DataStream&&) noexcept;
  ~DataStream();

  // The first bytes of the text (kDataHeadBytes, where there are as many); reading goes over them.
  std::string_view head() const;
  // Appends the next bytes of the text to `out`, about kDataHeadBytes of them; false at the end.
  // Errors: a damaged archive.
  absl::StatusOr<bool> read(std::string& out);

 private:
  struct State;
  explicit DataStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The whole text of a DataStream. Errors: those of it; more than `max_bytes`.
absl::StatusOr<std::string> read_data_file(const std::filesystem::path& path,
                                           int64_t max_bytes = int64_t{1} << 32);

// The form of what begins with `head`. A table is told from prose by its name (.csv, .tsv, in any
// case, also before .gz), or by lines that have as many fields as a header of names.
DataForm data_form(std::string_view head, const std::filesystem::path& path);

inline constexpr size_t kDataHeadBytes = size_t{1} << 16;

// The first bytes of the file (kDataHeadBytes, of gzip what they unpack to). Errors: those of
// read_data_file.
absl::StatusOr<std::string> read_data_head(const std::filesystem::path& path);

// What separates the fields of a table, by its header: a tab, else a comma or a semicolon, else a
// tab (one column).
char table_separator(std::string_view header);

// Inflates gzip that comes in pieces, also several members behind each other.
class Gunzip {
 public:
  explicit Gunzip(std::string where);
  Gunzip(Gunzip&&) noexcept;
  Gunzip& operator=(Gunzip&&) noexcept;
  ~Gunzip();
  // Gives `packed` in; the piece before must be used up. It must live until it is.
  void give(std::string_view packed);
  bool wants_more() const;  // all that was given is used up
  // Appends at most `most` bytes of text. Errors: damage.
  absl::Status take(size_t most, std::string& out);
  // Behind the last piece. Errors: a member that is not whole.
  absl::Status finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace frugal::text
