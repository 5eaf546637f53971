// scripts/runtimes as text, compiled in: the executable needs no folder of scripts beside it.
#pragma once

#include <string_view>

namespace frugal::runtime {

extern const std::string_view kProtocolScript;
// Of an adapter that there is: "llamacpp".
std::string_view adapter_script(std::string_view adapter);

// The environment that scripts/setup --runtimes makes, in the folder that this executable was built
// from.
extern const std::string_view kDefaultEnvironment;

}  // namespace frugal::runtime
