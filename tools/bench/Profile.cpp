#include "tools/bench/Profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

namespace lmc::bench {
namespace {

/// "layers.3.attn.q_proj" -> "layers.*.attn.q_proj"
std::string withoutNumbers(const std::string &path) {
  std::string result;
  for (char c : path) {
    bool digit = c >= '0' && c <= '9';
    bool starts = result.empty() || result.back() == '.' || result.back() == '*';
    if (digit && starts) {
      if (result.empty() || result.back() != '*')
        result += '*';
    } else {
      result += c;
    }
  }
  return result;
}

struct Entry {
  double seconds = 0, flops = 0, bytes = 0;
  int launches = 0;
};

} // namespace

void printProfile(Session &session, const std::string &program, int rounds) {
  const auto &message = session.executable().message();
  const auto &plan = message.programs(session.executable().findProgram(program));
  std::vector<std::vector<double>> samples(plan.launches_size());
  session.setProfiling(true);
  for (int round = 0; round < rounds; ++round) {
    session.run(program);
    for (size_t i = 0; i < samples.size(); ++i)
      samples[i].push_back(session.launchSeconds()[i]);
  }
  session.setProfiling(false);

  std::map<std::string, Entry> entries;
  double total = 0;
  for (int i = 0; i < plan.launches_size(); ++i) {
    const auto &launch = plan.launches(i);
    const auto &kernel = message.kernels(int(launch.kernel()));
    std::string path = withoutNumbers(launch.path());
    if (path.size() > 60)
      path = path.substr(0, 57) + "...";
    Entry &entry = entries[fmt::format("{:<10} {:<60}", kernel.family(), path)];
    std::ranges::nth_element(samples[i], samples[i].begin() + rounds / 2);
    double seconds = samples[i][rounds / 2];
    total += seconds;
    entry.seconds += seconds;
    entry.flops += double(kernel.flops());
    for (uint32_t buffer : launch.buffers())
      entry.bytes += double(plan.buffers(int(buffer)).bytes());
    ++entry.launches;
  }
  std::vector<std::pair<std::string, Entry>> sorted(entries.begin(), entries.end());
  std::ranges::sort(sorted, [](auto &a, auto &b) { return a.second.seconds > b.second.seconds; });
  fmt::print("  {:<71} {:>8} {:>10} {:>7} {:>9} {:>8}\n", "launches of " + program, "count", "ms",
             "share", "GFLOP/s", "GB/s");
  for (auto &[name, e] : sorted)
    fmt::print("  {} {:>8} {:>10.3f} {:>5.1f} % {:>9.1f} {:>8.2f}\n", name, e.launches,
               e.seconds * 1e3, 100 * e.seconds / total, e.flops / e.seconds / 1e9,
               e.bytes / e.seconds / 1e9);
  fmt::print("  {:<71} {:>8} {:>10.3f}\n", "all", plan.launches_size(), total * 1e3);
}

} // namespace lmc::bench
