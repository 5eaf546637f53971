// The command line.
#pragma once

namespace frugal::tool {

// Parses and runs; returns the exit code of the process.
int run_command_line(int argc, char** argv);

}  // namespace frugal::tool
