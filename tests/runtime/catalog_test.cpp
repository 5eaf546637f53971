#include "runtime/catalog.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/child_process.h"
#include "runtime/scripts.h"
#include "support/shared_data.h"

namespace frugal::runtime {
namespace {

namespace fs = std::filesystem;

fs::path write_program(const fs::path& folder, const std::string& text) {
  const fs::path path = folder / "python";
  std::ofstream(path) << text;
  fs::permissions(path, fs::perms::owner_all);
  return path;
}

TEST(Catalog, EveryRuntimeHasItsAdapterCompiledIn) {
  for (const Runtime& runtime : runtimes()) {
    EXPECT_NE(adapter_script(runtime.adapter).find("Server("), std::string_view::npos)
        << runtime.name;
    EXPECT_NE(runtime.packages.empty(), runtime.program.empty()) << runtime.name;
    for (const std::string_view format : runtime.formats) EXPECT_NE(runtime_of(format), nullptr);
  }
  EXPECT_NE(kProtocolScript.find("class Server"), std::string_view::npos);
}

TEST(Catalog, AGgufIsServedByLlamaCpp) {
  ASSERT_NE(runtime_of("gguf"), nullptr);
  EXPECT_EQ(runtime_of("gguf")->name, "llama.cpp");
  EXPECT_EQ(runtime_of("floppy"), nullptr);
  EXPECT_EQ(find_runtime("llama"), nullptr);
}

TEST(Catalog, AnInterpreterSaysWhatItHas) {
  const test::TemporaryFolder folder;
  const fs::path python = write_program(
      folder.path(), "#!/bin/sh\necho '{\"xllamacpp\": \"7.1\", \"numpy\": \"2\"}'\n");
  const auto found = read_environment(python);
  ASSERT_TRUE(found.ok()) << found.status();
  const auto version = version_in(*found, *find_runtime("llama.cpp"));
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "xllamacpp 7.1");
}

// A program on the PATH stands in for a package, and the interpreter asks it for its version.
TEST(Catalog, AProgramOnThePathIsARuntime) {
  const Runtime& server = *find_runtime("llama-server");
  const test::TemporaryFolder folder;
  const fs::path program = folder.path() / "llama-server";
  const auto version_with = [&](const std::string& text) {
    std::ofstream(program) << "#!/bin/sh\n" << text;
    fs::permissions(program, fs::perms::owner_all);
    const std::string before = std::getenv("PATH");
    ::setenv("PATH", (folder.path().string() + ":" + before).c_str(), 1);
    auto found = read_environment("/usr/bin/python3");
    ::setenv("PATH", before.c_str(), 1);
    EXPECT_TRUE(found.ok()) << found.status();
    found->versions["numpy"] = "2";
    return version_in(*found, server);
  };
  EXPECT_EQ(version_with("echo 'version: 6123 (abc)' >&2\necho 'built with love'\n").value(),
            "llama-server 6123 (abc)");
  EXPECT_EQ(version_with("exit 3\n").value(), "llama-server of unknown version");
  const Environment none{.python = "/opt/python", .versions = {{"numpy", "2"}}};
  EXPECT_EQ(
      version_in(none, server).status().message(),
      "llama-server is not installed: there is no 'llama-server' on the PATH; install it, or run "
      "scripts/setup --runtimes for another runtime that reads gguf");
}

TEST(Catalog, TheFolderOfAnEnvironmentNamesItsInterpreter) {
  const test::TemporaryFolder folder;
  fs::create_directories(folder.path() / "bin");
  const fs::path python = write_program(folder.path() / "bin", "#!/bin/sh\necho '{}'\n");
  const auto found = read_environment(folder.path());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->python, python);
}

TEST(Catalog, WhatIsMissingIsSaidWithItsRemedy) {
  const Environment bare{.python = "/opt/python", .versions = {{"xllamacpp", "7.1"}}};
  const Runtime& llama = *find_runtime("llama.cpp");
  EXPECT_EQ(
      version_in(bare, llama).status().message(),
      "llama.cpp is not installed: '/opt/python' lacks numpy; run scripts/setup --runtimes, or "
      "name a Python that has it in FRUGAL_RUNTIMES");
  const Environment none{.python = "/opt/python", .versions = {}};
  EXPECT_EQ(
      version_in(none, llama).status().message(),
      "llama.cpp is not installed: '/opt/python' lacks xllamacpp or llama-cpp-python and numpy; "
      "run scripts/setup --runtimes, or name a Python that has it in FRUGAL_RUNTIMES");
}

TEST(Catalog, APythonThatIsNoneIsAnError) {
  const test::TemporaryFolder folder;
  EXPECT_NE(read_environment(folder.path() / "nothing").status().message().find("does not exist"),
            absl::string_view::npos);
  const fs::path broken = write_program(folder.path(), "#!/bin/sh\necho torn >&2\nexit 4\n");
  const std::string message(read_environment(broken).status().message());
  EXPECT_NE(message.find("ended with exit code 4"), std::string::npos) << message;
  EXPECT_NE(message.find("torn"), std::string::npos) << message;
  EXPECT_NE(message.find("scripts/setup --runtimes"), std::string::npos) << message;
}

// `python -c` looks for modules in the folder it is started in: the user's, with whatever is there.
TEST(Catalog, ModulesOfTheWorkingFolderAreNotLoaded) {
  const test::TemporaryFolder folder;
  for (const char* name : {"json.py", "numpy.py"})
    std::ofstream(folder.path() / name) << "raise SystemExit('of the working folder')\n";
  const fs::path python = write_program(folder.path(), "#!/bin/sh\nexec python3 \"$@\"\n");
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  const auto found = read_environment(python);
  auto protocol = base::ChildProcess::start({python, "-c", std::string(kProtocolScript)});
  const std::string said(protocol.ok() ? protocol->read_line(100).status().message() : "");
  fs::current_path(before);
  EXPECT_TRUE(found.ok()) << found.status();
  EXPECT_NE(said.find("ended with"), std::string::npos) << said;  // it defines, and asks nothing
  EXPECT_EQ(said.find("of the working folder"), std::string::npos) << said;
}

TEST(Catalog, TheAdaptersTextIsWhatPythonRuns) {
  const Environment environment{.python = "/opt/python", .versions = {}};
  const auto command = adapter_command(environment, *find_runtime("llama.cpp"));
  ASSERT_EQ(command.size(), 3u);
  EXPECT_EQ(command[0], "/opt/python");
  EXPECT_EQ(command[1], "-c");
  EXPECT_LT(command[2].find("class Server"), command[2].find("class LlamaCpp"));
}

}  // namespace
}  // namespace frugal::runtime
