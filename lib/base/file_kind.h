// What a file is by its content, whatever its name says; and what to do about one that is not what
// was expected: a pointer instead of weights, a web page instead of a download, an archive.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::base {

enum class FileKind {
  kOther,  // nothing below: it may well be what was expected
  kEmpty,
  kZeros,  // a download that reserved its place and never filled it
  kGitLfsPointer,
  kWebPage,
  kGzip,
  kXz,
  kZstandard,
  kBzip2,
  kSevenZip,
  kTar,
  kZip,
  kTorch,  // torch.save, as a zip archive or an old pickle
  kPickle,
  kSafetensors,
  kGguf,
  kParquet,
  kArrow,
  kHdf5,
  kNumpy,
  kPdf,
  kUtf16,
};

// Of the first bytes of a file; 4096 of them are plenty.
FileKind recognize(std::string_view head);
FileKind recognize(std::span<const std::byte> head);

// Reads the first bytes of `path`. Errors: those of reading.
absl::StatusOr<FileKind> recognize_file(const std::filesystem::path& path);

// The extension of a name in lower case: ".jsonl" of "Train.JSONL".
std::string suffix_of(const std::filesystem::path& path);

// What such a file is and what to do: "a git-lfs pointer, not the file itself: run 'git lfs pull'
// …". Empty for kOther. `path` is named in commands.
std::string describe(FileKind kind, const std::filesystem::path& path, std::string_view head = {});

// InvalidArgument "PATH: it is …" where `content` is recognized as something other than text; OK
// otherwise. For readers of text files (JSON, YAML, tokenizers), before or after they fail.
absl::Status refuse_foreign(std::string_view content, const std::filesystem::path& path);
absl::Status refuse_foreign(std::span<const std::byte> content, const std::filesystem::path& path);

}  // namespace frugal::base
