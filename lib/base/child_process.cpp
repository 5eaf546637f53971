#include "base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/descriptor.h"
#include "base/interrupt.h"
#include "base/process.h"

namespace frugal::base {
namespace {

constexpr size_t kErrorBytes = size_t{1} << 16;  // kept of standard error
constexpr size_t kShownBytes = 2000;             // of them in a message
constexpr int kLookMilliseconds = 100;           // between looks for an interruption
constexpr double kPatienceSeconds = 1800;
constexpr int kCannotStart = 127;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Pipe {
  Descriptor read, write;
};

absl::StatusOr<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("make", "a pipe", errno);
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

void never_block(const Descriptor& end) {
  ::fcntl(end.number(), F_SETFL, ::fcntl(end.number(), F_GETFL) | O_NONBLOCK);
}

// In the child: only what is safe between fork and exec.
[[noreturn]] void become(char* const* argv, int in, int out, int error, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kCannotStart);
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGPIPE, SIG_DFL);
  if (::dup2(in, 0) >= 0 && ::dup2(out, 1) >= 0 && ::dup2(error, 2) >= 0) ::execvp(argv[0], argv);
  const char* const reason = std::strerror(errno);
  for (const char* part : {"cannot run ", static_cast<const char*>(argv[0]), ": ", reason}) {
    if (::write(2, part, std::strlen(part)) < 0) break;
  }
  ::_exit(kCannotStart);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    return str_cat("was ended by signal ", number, " (", ::strsignal(number), ")",
                   number == SIGKILL ? "; the system kills what takes too much memory" : "");
  }
  return str_cat("ended with exit code ", WEXITSTATUS(status));
}

}  // namespace

struct ChildProcess::State {
  State(std::string its_name, pid_t its_pid, Descriptor its_in, Descriptor its_out,
        Descriptor its_error)
      : name(std::move(its_name)),
        pid(its_pid),
        in(std::move(its_in)),
        out(std::move(its_out)),
        error(std::move(its_error)) {
    watch_child(pid);
  }

  ~State() {
    in.close();
    const auto begin = Clock::now();
    while (!ended && seconds_since(begin) < 0.5) {
      drain_error();  // or it might wait for us to read
      if (!reap(WNOHANG)) ::usleep(2000);
    }
    if (ended) return;
    ::kill(-pid, SIGKILL);
    reap(0);
  }

  // True when the child has ended.
  bool reap(int flags) {
    int how = 0;
    if (!ended && reap_child(pid, flags, how)) {
      ended = true;
      status = how;
      ::kill(-pid, SIGKILL);  // what it may have started itself
    }
    return ended;
  }

  void drain_error() {
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(error.number(), buffer, sizeof buffer)) > 0;) {
      error_tail.append(buffer, static_cast<size_t>(got));
      if (error_tail.size() > kErrorBytes) error_tail.erase(0, error_tail.size() - kErrorBytes / 2);
    }
  }

  // Why nothing more comes of it.
  absl::Status end_of_child() {
    for (int i = 0; i < 50 && !reap(WNOHANG); ++i) ::usleep(20000);
    drain_error();
    return failed(name, " ", ended ? how_it_ended(status) : "closed its output", shown_error());
  }

  std::string shown_error() const {
    std::string_view text = trim(error_tail);
    if (text.empty()) return "";
    const bool cut = text.size() > kShownBytes;
    if (cut) text.remove_prefix(text.size() - kShownBytes);
    return str_cat("; it said:\n", cut ? "…" : "", text);
  }

  // Waits until `events` can be done on `end`, keeping standard error empty meanwhile.
  absl::Status wait_for(const Descriptor& end, short events) {
    const auto begin = Clock::now();
    while (true) {
      FRUGAL_RETURN_IF_ERROR(check_interrupt());
      pollfd both[2] = {{end.number(), events, 0}, {error.number(), POLLIN, 0}};
      const int ready = ::poll(both, error_closed ? 1 : 2, kLookMilliseconds);
      if (ready < 0 && errno != EINTR) return system_error("wait for", name, errno);
      if (both[1].revents != 0) {
        drain_error();
        error_closed = (both[1].revents & POLLIN) == 0;
      }
      if (both[0].revents != 0) return absl::OkStatus();
      if (seconds_since(begin) > patience) {
        return failed(name, " has neither taken nor given a byte for ", format_duration(patience),
                      shown_error());
      }
    }
  }

  // More of its output into `buffer`.
  absl::Status fill() {
    while (true) {
      FRUGAL_RETURN_IF_ERROR(wait_for(out, POLLIN));
      char bytes[1 << 16];
      const ssize_t got = ::read(out.number(), bytes, sizeof bytes);
      if (got == 0) return end_of_child();
      if (got > 0) {
        buffer.append(bytes, static_cast<size_t>(got));
        return absl::OkStatus();
      }
      if (errno != EAGAIN && errno != EINTR) return system_error("read from", name, errno);
    }
  }

  std::string name;
  pid_t pid;
  Descriptor in, out, error;
  bool ended = false;
  bool error_closed = false;
  int status = 0;
  double patience = kPatienceSeconds;
  std::string buffer;  // read and not yet handed on, from `used` on
  size_t used = 0;
  std::string error_tail;
};

ChildProcess::ChildProcess(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChildProcess::ChildProcess(ChildProcess&&) noexcept = default;
ChildProcess& ChildProcess::operator=(ChildProcess&&) noexcept = default;
ChildProcess::~ChildProcess() = default;

absl::StatusOr<ChildProcess> ChildProcess::start(const std::vector<std::string>& command) {
  if (command.empty()) return invalid_argument("no program to start");
  std::vector<char*> argv;
  for (const std::string& part : command) argv.push_back(const_cast<char*>(part.c_str()));
  argv.push_back(nullptr);
  FRUGAL_ASSIGN_OR_RETURN(Pipe in, make_pipe());
  FRUGAL_ASSIGN_OR_RETURN(Pipe out, make_pipe());
  FRUGAL_ASSIGN_OR_RETURN(Pipe error, make_pipe());
  ::signal(SIGPIPE, SIG_IGN);  // a child that has ended is an error of write(), not our end
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("start", command[0], errno);
  if (pid == 0)
    become(argv.data(), in.read.number(), out.write.number(), error.write.number(), parent);
  ::setpgid(pid, pid);  // whoever comes first: a kill must find the group
  for (const Descriptor* end : {&in.write, &out.read, &error.read}) never_block(*end);
  return ChildProcess(std::make_unique<State>(command[0], pid, std::move(in.write),
                                              std::move(out.read), std::move(error.read)));
}

absl::Status ChildProcess::write(std::string_view bytes) {
  while (!bytes.empty()) {
    FRUGAL_RETURN_IF_ERROR(state_->wait_for(state_->in, POLLOUT));
    const ssize_t put = ::write(state_->in.number(), bytes.data(), bytes.size());
    if (put > 0) {
      bytes.remove_prefix(static_cast<size_t>(put));
    } else if (put < 0 && errno == EPIPE) {
      return state_->end_of_child();
    } else if (put < 0 && errno != EAGAIN && errno != EINTR) {
      return system_error("write to", state_->name, errno);
    }
  }
  return absl::OkStatus();
}

absl::Status ChildProcess::read(std::span<std::byte> bytes) {
  State& state = *state_;
  while (!bytes.empty()) {
    if (state.used == state.buffer.size()) {
      state.buffer.clear();
      state.used = 0;
      FRUGAL_RETURN_IF_ERROR(state.fill());
    }
    const size_t count = std::min(bytes.size(), state.buffer.size() - state.used);
    std::memcpy(bytes.data(), state.buffer.data() + state.used, count);
    state.used += count;
    bytes = bytes.subspan(count);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ChildProcess::read_line(size_t limit) {
  State& state = *state_;
  state.buffer.erase(0, state.used);
  state.used = 0;
  size_t end = 0;
  for (size_t seen = 0; (end = state.buffer.find('\n', seen)) == std::string::npos;) {
    seen = state.buffer.size();
    if (seen > limit) {
      return failed(state.name, " wrote a line longer than ", limit,
                    " bytes where a message was expected: '", state.buffer.substr(0, 60), "…'");
    }
    FRUGAL_RETURN_IF_ERROR(state.fill());
  }
  std::string line = state.buffer.substr(0, end);
  state.used = end + 1;
  return line;
}

void ChildProcess::set_patience(double seconds) { state_->patience = seconds; }

std::optional<int64_t> ChildProcess::peak_resident_bytes() const {
  return base::peak_resident_bytes(str_cat("/proc/", state_->pid));
}

double ChildProcess::cpu_seconds() const { return child_cpu_seconds(state_->pid); }

std::string ChildProcess::error_output() {
  state_->drain_error();
  return state_->error_tail;
}

}  // namespace frugal::base
