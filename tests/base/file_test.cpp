#include "base/file.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>
#include <vector>

#include "support/shared_data.h"

namespace frugal::base {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

size_t entries_in(const fs::path& folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

class FileTest : public testing::Test {
 protected:
  fs::path at(std::string_view name) const { return folder_.path() / name; }
  test::TemporaryFolder folder_;
};

// Runs `body` where a file may not grow beyond `limit_bytes`: writing more fails as on a full disk,
// with EFBIG.
template <typename Body>
void with_file_size_limit(rlim_t limit_bytes, const Body& body) {
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit small{limit_bytes, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  body();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, old_handler);
}

TEST_F(FileTest, MapsFilesAndOutlivesTheirName) {
  std::ofstream(at("a")) << "hello";
  FRUGAL_ASSERT_OK_AND_ASSIGN(MappedFile file, MappedFile::open(at("a")));
  const MappedFile copy = file;
  file = MappedFile();
  fs::remove(at("a"));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(copy.bytes().data()), copy.bytes().size()),
            "hello");
  EXPECT_EQ(copy.path(), at("a"));
  EXPECT_TRUE(file.bytes().empty());
}

TEST_F(FileTest, MapsAnEmptyFileAndRefusesOthers) {
  std::ofstream(at("empty")).flush();
  EXPECT_TRUE(MappedFile::open(at("empty")).value().bytes().empty());
  FRUGAL_EXPECT_ERROR(MappedFile::open(at("none")), absl::StatusCode::kNotFound, "none");
  FRUGAL_EXPECT_ERROR(MappedFile::open(folder_.path()), kInvalid, "it is a folder");
  ASSERT_EQ(mkfifo(at("pipe").c_str(), 0600), 0);
  FRUGAL_EXPECT_ERROR(MappedFile::open(at("pipe")), kInvalid,
                      "not a regular file");  // and does not hang
}

TEST_F(FileTest, ReadsWithABound) {
  std::ofstream(at("a")) << "12345";
  EXPECT_EQ(read_file(at("a")).value(), "12345");
  EXPECT_EQ(read_file(at("a"), 5).value(), "12345");
  FRUGAL_EXPECT_ERROR(read_file(at("a"), 4), absl::StatusCode::kResourceExhausted, "at most 4");
  FRUGAL_EXPECT_ERROR(read_file(folder_.path()), kInvalid, "it is a folder");
  FRUGAL_EXPECT_ERROR(read_file(at("none")), absl::StatusCode::kNotFound, "No such file");
  // The kernel says that its files are empty.
  EXPECT_NE(read_file("/proc/self/status").value().find("VmRSS"), std::string::npos);
  FRUGAL_EXPECT_ERROR(read_file("/proc/self/status", 10), absl::StatusCode::kResourceExhausted,
                      "at most 10");
}

TEST_F(FileTest, AtomicFileAppearsWhenCommitted) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(AtomicFile file, AtomicFile::create(at("out")));
  FRUGAL_ASSERT_OK(file.write("head????"));
  const std::string large(3 << 20, 'x');
  FRUGAL_ASSERT_OK(file.write(std::as_bytes(std::span(large))));
  FRUGAL_ASSERT_OK(file.write("tail"));
  FRUGAL_ASSERT_OK(file.write_at(4, std::as_bytes(std::span("1234", 4))));
  EXPECT_EQ(file.size(), 12 + (3 << 20));
  EXPECT_FALSE(fs::exists(at("out")));
  FRUGAL_ASSERT_OK(file.commit());
  EXPECT_EQ(content_of(at("out")), "head1234" + large + "tail");
  EXPECT_EQ(entries_in(folder_.path()), 1u);
  EXPECT_EQ(file.commit().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(file.write("x").code(), absl::StatusCode::kInternal);
}

TEST_F(FileTest, AtomicFileRespectsTheUmask) {
  const mode_t old = umask(027);
  FRUGAL_EXPECT_OK(write_file_atomically(at("out"), "x"));
  umask(old);
  struct stat info{};
  ASSERT_EQ(stat(at("out").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_F(FileTest, WriteAtStaysInside) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(AtomicFile file, AtomicFile::create(at("out")));
  FRUGAL_ASSERT_OK(file.write("abc"));
  const auto two = std::as_bytes(std::span("12", 2));
  EXPECT_EQ(file.write_at(2, two).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(file.write_at(-1, two).code(), absl::StatusCode::kInternal);
  FRUGAL_EXPECT_OK(file.write_at(1, two));
  FRUGAL_ASSERT_OK(file.commit());
  EXPECT_EQ(content_of(at("out")), "a12");
}

TEST_F(FileTest, AbandonedAtomicFileLeavesNothing) {
  std::ofstream(at("out")) << "old";
  {
    FRUGAL_ASSERT_OK_AND_ASSIGN(AtomicFile file, AtomicFile::create(at("out")));
    FRUGAL_ASSERT_OK(file.write(std::string(5 << 20, 'x')));
    AtomicFile moved = std::move(file);
    FRUGAL_ASSERT_OK(moved.write("y"));
  }
  EXPECT_EQ(content_of(at("out")), "old");
  EXPECT_EQ(entries_in(folder_.path()), 1u);
}

TEST_F(FileTest, AtomicFileReplacesOnlyFiles) {
  fs::create_directory(at("folder"));
  FRUGAL_EXPECT_ERROR(AtomicFile::create(at("folder")), kInvalid, "it is a folder");
  FRUGAL_EXPECT_ERROR(AtomicFile::create("/dev/full"), kInvalid, "not a regular file");
  FRUGAL_EXPECT_ERROR(AtomicFile::create(at("none/out")), absl::StatusCode::kNotFound, "none/out");
  FRUGAL_EXPECT_ERROR(AtomicFile::create(at("folder/")), kInvalid, "folder");
}

TEST_F(FileTest, AFullDiskKeepsTheOldFile) {
  std::ofstream(at("out")) << "old";
  with_file_size_limit(1 << 19, [&] {
    FRUGAL_EXPECT_ERROR(write_file_atomically(at("out"), std::string(2 << 20, 'x')),
                        absl::StatusCode::kResourceExhausted,
                        "cannot write '" + at("out").string() + "'");
    // Also when the failure comes from what was still buffered.
    FRUGAL_ASSERT_OK_AND_ASSIGN(AtomicFile file, AtomicFile::create(at("out")));
    FRUGAL_ASSERT_OK(file.write(std::string(600000, 'x')));
    EXPECT_EQ(file.commit().code(), absl::StatusCode::kResourceExhausted);
  });
  EXPECT_EQ(content_of(at("out")), "old");
  EXPECT_EQ(entries_in(folder_.path()), 1u);
}

TEST_F(FileTest, ARealFullFileSystem) {
  fs::create_directory(at("small"));
  if (mount("tmpfs", at("small").c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "mounting a tmpfs is not allowed here";
  }
  const fs::path out = at("small/out");
  EXPECT_TRUE(write_file_atomically(out, "old").ok());
  const absl::Status status = write_file_atomically(out, std::string(1 << 20, 'x'));
  const std::string kept = content_of(out);
  const size_t entries = entries_in(at("small"));
  const auto free = free_bytes(at("small/none/none"));
  umount(at("small").c_str());
  FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kResourceExhausted, "No space left on device");
  EXPECT_EQ(kept, "old");
  EXPECT_EQ(entries, 1u);
  FRUGAL_ASSERT_OK(free);
  EXPECT_GT(*free, 0);
  EXPECT_LE(*free, 256 << 10);
}

// A process that is killed while it writes leaves the old file, whatever it had written.
TEST_F(FileTest, AKillKeepsTheOldFile) {
  std::ofstream(at("out")) << "old";
  const pid_t child = fork();
  if (child == 0) {
    auto file = AtomicFile::create(at("out"));
    if (file.ok() && file->write(std::string(4 << 20, 'x')).ok()) raise(SIGKILL);
    _exit(1);
  }
  int outcome = 0;
  ASSERT_EQ(waitpid(child, &outcome, 0), child);
  ASSERT_TRUE(WIFSIGNALED(outcome));
  EXPECT_EQ(content_of(at("out")), "old");
  FRUGAL_EXPECT_OK(write_file_atomically(at("out"), "new"));
  EXPECT_EQ(content_of(at("out")), "new");
}

TEST_F(FileTest, AppendFileGrowsByWholeLines) {
  {
    FRUGAL_ASSERT_OK_AND_ASSIGN(AppendFile file, AppendFile::open(at("journal")));
    FRUGAL_EXPECT_OK(file.append_line("one"));
    AppendFile moved = std::move(file);
    FRUGAL_EXPECT_OK(moved.append_line(""));
    EXPECT_EQ(file.append_line("x").code(), absl::StatusCode::kInternal);
    EXPECT_EQ(moved.append_line("two\nlines").code(), absl::StatusCode::kInternal);
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(AppendFile file, AppendFile::open(at("journal")));
  FRUGAL_EXPECT_OK(file.append_line("two"));
  EXPECT_EQ(content_of(at("journal")), "one\n\ntwo\n");
}

TEST_F(FileTest, AppendFileCutsATornLine) {
  for (const auto& [before, kept] : std::vector<std::pair<std::string, std::string>>{
           {"one\ntwo\nthr", "one\ntwo\n"},
           {"torn from the start", ""},
           {"whole\n", "whole\n"},
           {"", ""},
           {"short\n" + std::string(200000, 'x'), "short\n"},
           {std::string(65536, 'y') + "\n" + std::string(65535, 'x'),
            std::string(65536, 'y') + "\n"}}) {
    std::ofstream(at("journal"), std::ios::trunc) << before;
    FRUGAL_ASSERT_OK_AND_ASSIGN(AppendFile file, AppendFile::open(at("journal")));
    EXPECT_EQ(content_of(at("journal")), kept);
    FRUGAL_EXPECT_OK(file.append_line("next"));
    EXPECT_EQ(content_of(at("journal")), kept + "next\n");
  }
}

TEST_F(FileTest, AFailedAppendLeavesNoHalfLine) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(AppendFile file, AppendFile::open(at("journal")));
  FRUGAL_ASSERT_OK(file.append_line("one"));
  with_file_size_limit(100, [&] {
    EXPECT_EQ(file.append_line(std::string(200, 'x')).code(), absl::StatusCode::kResourceExhausted);
  });
  EXPECT_EQ(content_of(at("journal")), "one\n");
  FRUGAL_ASSERT_OK(file.append_line("two"));
  EXPECT_EQ(content_of(at("journal")), "one\ntwo\n");
}

TEST_F(FileTest, AppendFileHasOneWriter) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(AppendFile file, AppendFile::open(at("journal")));
  FRUGAL_EXPECT_ERROR(AppendFile::open(at("journal")), absl::StatusCode::kFailedPrecondition,
                      "another process");
  FRUGAL_EXPECT_ERROR(AppendFile::open("/dev/null"), kInvalid, "not a regular file");
  FRUGAL_EXPECT_ERROR(AppendFile::open(at("none/journal")), absl::StatusCode::kNotFound, "none");
}

TEST_F(FileTest, PublishesFoldersOnce) {
  fs::create_directory(at("building"));
  std::ofstream(at("building/a")) << "1";
  FRUGAL_ASSERT_OK(publish_folder(at("building"), at("done")));
  EXPECT_EQ(content_of(at("done/a")), "1");
  EXPECT_FALSE(fs::exists(at("building")));
  fs::create_directory(at("building"));
  EXPECT_EQ(publish_folder(at("building"), at("done")).code(), absl::StatusCode::kAlreadyExists);
  fs::create_directory(at("empty"));  // rename(2) alone would replace it
  EXPECT_EQ(publish_folder(at("building"), at("empty")).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(content_of(at("done/a")), "1");
  FRUGAL_EXPECT_ERROR(publish_folder(at("none"), at("new")), absl::StatusCode::kNotFound, "none");
}

TEST_F(FileTest, ResolvesNamesInsideOnly) {
  fs::create_directories(at("model/sub"));
  std::ofstream(at("secret")) << "s";
  std::ofstream(at("model/sub/a")) << "a";
  fs::create_symlink(at("secret"), at("model/leak"));
  fs::create_symlink("..", at("model/up"));
  fs::create_symlink("sub/a", at("model/inner"));
  fs::create_directories(at("model-2"));
  fs::create_symlink(at("model-2"), at("model/sibling"));
  EXPECT_EQ(resolve_inside(at("model"), "sub/a").value(), at("model/sub/a"));
  EXPECT_EQ(resolve_inside(at("model"), "inner").value(), at("model/inner"));
  FRUGAL_EXPECT_OK(resolve_inside(at("model"), "not-yet/there"));
  FRUGAL_EXPECT_OK(resolve_inside(at("model"), "..a"));
  for (const std::string& name : {""s, "/etc/passwd"s, "../secret"s, "sub/../../secret"s, "sub/.."s,
                                  "leak"s, "up/secret"s, "sibling"s, "a\0b"s}) {
    FRUGAL_EXPECT_ERROR(resolve_inside(at("model"), name), kInvalid, "file name");
  }
  FRUGAL_EXPECT_ERROR(resolve_inside(at("none"), "a"), absl::StatusCode::kNotFound, "none");
  fs::create_directory_symlink(at("model"),
                               at("alias"));  // the folder itself may be reached by a link
  FRUGAL_EXPECT_OK(resolve_inside(at("alias"), "sub/a"));
}

TEST_F(FileTest, CopiesFiles) {
  const std::string text = "abc" + std::string(1 << 20, 'x');
  std::ofstream(at("a")) << text;
  std::ofstream(at("b")) << "old";
  FRUGAL_ASSERT_OK(base::copy_file(at("a"), at("b")));
  EXPECT_EQ(content_of(at("b")), text);
  EXPECT_EQ(content_of(at("a")), text);
  FRUGAL_EXPECT_ERROR(base::copy_file(at("none"), at("c")), absl::StatusCode::kNotFound, "none");
  EXPECT_EQ(entries_in(folder_.path()), 2u);
}

TEST_F(FileTest, KnowsFreeBytes) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const int64_t free, free_bytes(at("not/yet/there")));
  EXPECT_GT(free, 0);
  EXPECT_GT(free_bytes("relative/none").value(), 0);
}

}  // namespace
}  // namespace frugal::base
