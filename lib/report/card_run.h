// How an artifact is run, in commands, by its format. Internal to the room.
#pragma once

#include <string>
#include <string_view>

namespace frugal::report {

struct Running {
  std::string_view library;  // the hub's name of what loads it
  std::string_view title;    // "llama.cpp"
  std::string commands;      // a fenced block, or several
};

// `name`: of the file to load, or of the folder.
Running running_of(std::string_view format, std::string_view name);

}  // namespace frugal::report
