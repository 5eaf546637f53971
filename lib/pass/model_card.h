// Where the model card of an artifact lies, and by what frugal knows its own cards again.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace frugal::pass {

// The second line of every card that frugal writes, a comment of its YAML head. A card without it
// is somebody's own and is left alone.
inline constexpr std::string_view kCardMark =
    "# Written by frugal from the journal of a run; take this line out to keep your own changes.";

// The card beside an artifact: "small.md" of "small.gguf" and of "small-00001-of-00003.gguf",
// "small-onnx.md" of the folder "small-onnx".
std::string card_name(std::string_view artifact);

// Whether `path` is a regular file that begins as our cards do.
bool is_own_card(const std::filesystem::path& path);

}  // namespace frugal::pass
