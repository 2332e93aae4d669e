#include "tools/lmc/Commands.h"

#include "codegen/cuda/Print.h"
#include "runtime/CudaDriver.h"
#include "runtime/Error.h"
#include "tools/bench/Case.h"
#include "tools/bench/Profile.h"
#include "tools/bench/Roof.h"
#include "tools/bench/Torch.h"

#include <nlohmann/json.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <optional>
#include <regex>

namespace lmc {
namespace {

using namespace bench;

struct Options {
  std::string model, filter;
  std::optional<int64_t> tokens;
  CompileSettings settings; ///< of the model
  bool list = false, profile = false;
  int rounds = 9;
  double seconds = 20;
  std::string target = "cpu";
  CodegenOptions codegen;
  PeerOptions peers;
};

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + values.size() / 2);
  return values[values.size() / 2];
}

/// What came out of one case: medians over the rounds.
struct Row {
  std::string check;
  double seconds = 0;
  double roof = 0; ///< 0: unknown
  double best = 0; ///< seconds of the fastest sample: what a calm machine would do
  int rounds = 0;
  std::vector<std::pair<std::string, double>> peers; ///< seconds
};

/// Rounds of roof, ours, each peer, so that all meet the same weather. A sample is as many runs as
/// take some milliseconds.
Row measure(const Case &which, Workload &work, const Options &o, Roof *roof) {
  Row row;
  if (which.bound == Bound::None)
    roof = nullptr;
  row.check = work.check();
  double once = secondsOf([&] { work.time(); });
  int repeats = std::max(1, static_cast<int>(0.005 / once));
  std::vector<Peer> peers = work.peers(o.peers);
  std::vector<double> ours, best;
  std::vector<std::vector<double>> theirs(peers.size());
  double spent = 0;
  for (; row.rounds < o.rounds && (row.rounds < 3 || spent < o.seconds); ++row.rounds)
    spent += secondsOf([&] {
      if (roof)
        best.push_back(which.bound == Bound::Compute ? roof->measureFlops()
                                                     : roof->measureBandwidth());
      double own = 0;
      for (int i = 0; i < repeats; ++i)
        own += work.time();
      ours.push_back(own / repeats);
      for (size_t p = 0; p < peers.size(); ++p) {
        double sum = 0;
        for (int i = 0; i < repeats; ++i)
          sum += peers[p].run();
        theirs[p].push_back(sum / repeats);
      }
    });
  row.seconds = median(ours);
  row.best = std::ranges::min(ours);
  row.roof = roof ? median(best) : 0;
  for (size_t p = 0; p < peers.size(); ++p)
    row.peers.emplace_back(peers[p].name, median(theirs[p]));
  return row;
}

/// Of this process so far, without what the roof takes.
uint64_t peakResidentBytes(const Roof *roof) {
  struct rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  uint64_t peak = static_cast<uint64_t>(usage.ru_maxrss) << 10;
  uint64_t own = roof ? roof->residentBytes() : 0;
  return peak > own ? peak - own : 0;
}

nlohmann::ordered_json toJson(const Case &which, const Workload &work, const Row &row,
                              const Machine &machine, const Roof *roof) {
  bool compute = which.bound == Bound::Compute;
  const char *bound = compute ? "flops" : which.bound == Bound::Memory ? "bytes" : "none";
  nlohmann::ordered_json json = {{"case", which.name},
                                 {"shape", which.shape},
                                 {"threads", machine.threads},
                                 {"check", row.check},
                                 {"rounds", row.rounds},
                                 {"microseconds", row.seconds * 1e6},
                                 {"best_microseconds", row.best * 1e6},
                                 {"flops_per_second", work.flops / row.seconds},
                                 {"bytes_per_second", work.bytes / row.seconds},
                                 {"roof", bound}};
  if (row.roof > 0) {
    json["roof_per_second"] = row.roof;
    json["roof_share"] = (compute ? work.flops : work.bytes) / row.seconds / row.roof;
  }
  if (!machine.gpu.empty()) {
    json["gpu"] = machine.gpu;
    json["products"] = machine.products == Products::Library ? "library" : "generated";
  }
  if (work.tokens > 0)
    json["tokens_per_second"] = work.tokens / row.seconds;
  if (work.arenaBytes > 0) {
    json["arena_bytes"] = work.arenaBytes;
    json["peak_resident_bytes"] = peakResidentBytes(roof);
  }
  for (auto &[name, seconds] : row.peers)
    json["peers"][name] = {{"microseconds", seconds * 1e6}, {"ratio", seconds / row.seconds}};
  return json;
}

void print(const Case &which, const Workload &work, const Row &row, const Options &o) {
  bool compute = which.bound == Bound::Compute;
  std::string rate = compute ? fmt::format("{:.1f} GFLOP/s", work.flops / row.seconds / 1e9)
                     : which.bound == Bound::Memory
                         ? fmt::format("{:.2f} GB/s", work.bytes / row.seconds / 1e9)
                         : fmt::format("{:.1f} MB/s", work.bytes / row.seconds / 1e6);
  double share = (compute ? work.flops : work.bytes) / row.seconds / row.roof;
  fmt::print("{:<32} {:>10.3f} ms  {:>15}  {:>7}", which.name, row.seconds * 1e3, rate,
             row.roof > 0                 ? fmt::format("{:.1f} %", 100 * share)
             : which.bound == Bound::None ? ""
                                          : "unknown");
  fmt::print("  {:>9}", work.tokens > 0 ? fmt::format("{:.1f}", work.tokens / row.seconds) : "");
  for (const std::string &name : o.peers.names) {
    auto at = std::ranges::find(row.peers, name, &std::pair<std::string, double>::first);
    fmt::print("  {:>13}",
               at == row.peers.end() ? "" : fmt::format("{:.2f} x", at->second / row.seconds));
  }
  fmt::print("  {}\n", row.check);
  std::fflush(stdout);
}

/// MODEL as it will be served.
BenchedModel modelOf(Options &o) {
  o.settings.keep = {"prefill", "decode"};
  o.settings.programs.training = false;
  o.settings.target = o.target;
  o.settings.codegen.products = o.codegen.products;
  LoadedModel model = loadModel(o.model, o.settings);
  int64_t tokens = o.tokens.value_or(std::min<int64_t>(512, model.info.context - 1));
  if (model.info.context < 8)
    fail("'{}': a context of {} is too short to time", o.model, model.info.context);
  if (tokens >= model.info.context)
    fail("'{}': --tokens {} leave no room for an answer in a context of {}", o.model, tokens,
         model.info.context);
  bool rounds = std::ranges::any_of(model.executable->message().tensors(), [](const auto &tensor) {
    bool isShort = tensor.dtype() != executable::F32;
    return tensor.role() == executable::CACHE
               ? isShort
               : !tensor.packing().blocks().empty() || tensor.dtype() == executable::BF16;
  });
  return {model.info.name, model.config, model.executable, tokens, rounds};
}

int run(Options &o, const CommonOptions &common) {
  // Cases are listed on machines without a GPU, too.
  CodegenOptions &codegen = o.codegen;
  chooseTarget(codegen, o.target, !o.list);
  if (codegen.cpu != CodegenOptions().cpu)
    throw UsageError(
        fmt::format("--target: '{}' is not what runs here; use cpu or cuda", o.target));
  Machine machine{resolveThreads(common.threads), codegen.gpu, o.codegen.products};
  std::vector<Case> cases;
  if (!o.model.empty()) {
    BenchedModel model = modelOf(o);
    if (const std::string &target = model.executable->message().target(); isCudaTarget(target))
      machine.gpu = cuda::architectureOf(target);
    addModel(cases, model, machine);
  } else {
    addProducts(cases, machine);
    addKernels(cases, machine);
    addModels(cases, machine);
    if (machine.gpu.empty())
      addTokenizers(cases);
  }
  std::regex pattern;
  try {
    pattern = std::regex(o.filter);
  } catch (const std::regex_error &) {
    throw UsageError(fmt::format("--filter: '{}' is no regular expression", o.filter));
  }
  std::erase_if(cases, [&](const Case &c) { return !std::regex_search(c.name, pattern); });
  if (cases.empty())
    fail("no case matches '{}'; lmc bench --list prints them", o.filter);
  if (o.list) {
    for (const Case &c : cases)
      fmt::print("{:<34} {}\n", c.name, c.shape);
    return 0;
  }

  o.peers.machine = machine;
  std::optional<Team> team;
  std::unique_ptr<Roof> roof;
  if (machine.gpu.empty()) {
    team.emplace(machine.threads);
    roof = std::make_unique<CpuRoof>(cpu::Target::host(), *team);
  } else {
    roof = torchRoof(o.peers);
  }
  if (!common.json) {
    std::string place =
        machine.gpu.empty() ? fmt::format("{} threads", machine.threads) : "GPU " + machine.gpu;
    if (roof)
      fmt::print("{}, roof {:.1f} GFLOP/s, {:.2f} GB/s now; measured again beside each case\n\n",
                 place, roof->measureFlops() / 1e9, roof->measureBandwidth() / 1e9);
    else
      fmt::print("{}, roof unknown\n\n", place);
    fmt::print("{:<32} {:>13}  {:>15}  {:>7}  {:>9}", "case", "median", "rate", "of roof",
               "tokens/s");
    for (const std::string &name : o.peers.names)
      fmt::print("  {:>13}", name);
    fmt::print("  checked\n");
  }
  int failures = 0;
  for (const Case &c : cases) {
    try {
      std::unique_ptr<Workload> work = c.make();
      Row row = measure(c, *work, o, roof.get());
      if (common.json)
        printJson(toJson(c, *work, row, machine, roof.get()));
      else
        print(c, *work, row, o);
      if (Session *session = work->session(); session && o.profile && !common.json)
        printProfile(*session, work->program(), 5);
    } catch (const Error &error) {
      fmt::print(stderr, "error: {}: {}\n", c.name, error.what());
      ++failures;
    }
  }
  if (!common.json && !o.model.empty())
    fmt::print("\npeak resident set {:.0f} MB\n", double(peakResidentBytes(roof.get())) / 1e6);
  return failures ? 1 : 0;
}

} // namespace

Command addBench(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  auto *model = app.add_option("MODEL", o->model,
                               "Time this model's prompts and tokens (folder, .gguf, checkpoint or "
                               ".lmx) and no other cases");
  app.add_option(
         "--tokens", o->tokens,
         "With MODEL: of the prompt, and before the token decoded (default: 512, or what a shorter "
         "context leaves)")
      ->check(CLI::Range(int64_t(17), int64_t(1) << 31))
      ->needs(model);
  app.add_option("--filter", o->filter, "Regular expression that the names of cases match");
  app.add_flag("--list", o->list, "Print the cases and run none");
  app.add_flag("--profile", o->profile, "Print where the time of each case goes, by launch");
  app.add_option(
         "--against", o->peers.names,
         "Run these beside it where they are installed: openblas, blis, onednn (products), "
         "torch (on a GPU products too), torch-compile (attention, training); ratios above 1 mean "
         "that lmc is faster")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kPeers), std::end(kPeers))));
  app.add_option("--python", o->peers.python,
                 "The Python that has PyTorch; it measures a GPU's roof, too")
      ->capture_default_str();
  app.add_option("--target", o->target,
                 "cpu or cuda: kernels by the GPU's own clock, models from call to result")
      ->capture_default_str();
  app.add_option("--rounds", o->rounds, "Samples of each; their median counts")
      ->check(CLI::Range(3, 1000))
      ->capture_default_str();
  app.add_option("--seconds", o->seconds, "Stop a case after so long, but not before 3 rounds")
      ->capture_default_str();
  addProducts(app, o->codegen);
  addPrecision(app, o->settings);
  addLength(app, o->settings);
  addCache(app, o->settings);
  addCommon(app, common, true);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
