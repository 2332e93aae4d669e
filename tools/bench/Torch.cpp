#include "tools/bench/Torch.h"

#include "runtime/Error.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace lmc::bench {
namespace {

const char *const kScript =
#include "tools/bench/TorchPeer.inc"
    ;

/// A running torch_peer.py: starting PyTorch takes longer than most cases, so all share it.
class Child {
public:
  Child(const PeerOptions &options, bool compiled) {
    int in[2], out[2];
    // Another child that held a copy of this one's input would keep it waiting at the end.
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
      fail("cannot open a pipe: {}", std::strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    std::string threads = std::to_string(options.machine.threads);
    const char *device = options.machine.gpu.empty() ? "cpu" : "cuda";
    const char *arguments[] = {options.python.c_str(), "-c",   kScript, compiled ? "1" : "0",
                               threads.c_str(),        device, nullptr};
    int code = posix_spawnp(&process, options.python.c_str(), &actions, nullptr,
                            const_cast<char *const *>(arguments), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    signal(SIGPIPE, SIG_IGN); // a PyTorch that has ended is an answer, not our end
    commands = fdopen(in[1], "w");
    answers = fdopen(out[0], "r");
    if (code != 0)
      process = -1;
  }
  ~Child() {
    fclose(commands); // its end of input
    fclose(answers);
    if (process > 0)
      waitpid(process, nullptr, 0);
  }
  Child(const Child &) = delete;
  Child &operator=(const Child &) = delete;

  /// Sends a line; the one that comes back, empty where PyTorch has ended.
  std::string ask(const std::string &line) {
    // One that has ended may have said why before.
    fputs((line + "\n").c_str(), commands);
    fflush(commands);
    char answer[1024];
    if (!fgets(answer, sizeof answer, answers))
      return "";
    return std::string(answer, strcspn(answer, "\n"));
  }

private:
  pid_t process = -1;
  FILE *commands, *answers;
};

/// One work in it.
class Work {
public:
  /// Throws Error with PyTorch's words.
  Work(std::shared_ptr<Child> child, const std::string &python, const TorchWork &work)
      : child(std::move(child)) {
    std::string answer =
        this->child->ask(nlohmann::json{{"kind", work.kind}, {"settings", work.settings}}.dump());
    if (answer.empty())
      fail("'{}' does not run", python);
    if (!answer.starts_with("ready "))
      fail("{}", answer);
    number = answer.substr(6, answer.find(' ', 6) - 6);
  }
  ~Work() { child->ask("drop " + number); }
  Work(const Work &) = delete;
  Work &operator=(const Work &) = delete;

  double run() {
    std::string line = child->ask("run " + number);
    char *end = nullptr;
    double seconds = std::strtod(line.c_str(), &end);
    if (line.empty() || *end)
      fail("PyTorch stopped: '{}'", line);
    return seconds;
  }

private:
  std::shared_ptr<Child> child;
  std::string number;
};

/// Of one run of lmc bench, whose options stay the same; `compiled`: torch.compile.
std::shared_ptr<Child> childOf(const PeerOptions &options, bool compiled) {
  static std::shared_ptr<Child> children[2];
  if (!children[compiled])
    children[compiled] = std::make_shared<Child>(options, compiled);
  return children[compiled];
}

class TorchRoof final : public Roof {
public:
  TorchRoof(Peer product, Peer copy) : product(std::move(product)), copy(std::move(copy)) {}

  double measureFlops() override { return 2.0 * kExtent * kExtent * kExtent / product.run(); }
  double measureBandwidth() override { return double(kMoved) / copy.run(); }

  static constexpr int64_t kExtent = 8192, kMoved = int64_t(4) << 30;

private:
  Peer product, copy;
};

} // namespace

std::unique_ptr<Roof> torchRoof(const PeerOptions &options) {
  PeerOptions only = options;
  only.names = {"torch"};
  int64_t n = TorchRoof::kExtent;
  std::vector<Peer> product = torchPeers(only, {"product",
                                                {{"m", n},
                                                 {"n", n},
                                                 {"k", n},
                                                 {"transpose_a", false},
                                                 {"transpose_b", false},
                                                 {"bf16", true}}});
  if (product.empty())
    return nullptr;
  std::vector<Peer> copy = torchPeers(only, {"copy", {{"bytes", TorchRoof::kMoved}}});
  if (copy.empty())
    return nullptr;
  return std::make_unique<TorchRoof>(std::move(product[0]), std::move(copy[0]));
}

std::vector<Peer> torchPeers(const PeerOptions &options, const TorchWork &work) {
  std::vector<Peer> result;
  for (const std::string &name : options.names) {
    if (name != "torch" && name != "torch-compile")
      continue;
    try {
      auto peer =
          std::make_shared<Work>(childOf(options, name == "torch-compile"), options.python, work);
      result.push_back({name, [peer] { return peer->run(); }});
    } catch (const Error &error) {
      fmt::print(stderr, "{} is left out: {}\n", name, error.what());
    }
  }
  return result;
}

} // namespace lmc::bench
