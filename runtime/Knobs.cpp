#include "runtime/Knobs.h"

#include "runtime/Error.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace lmc::knobs {
namespace fs = std::filesystem;

namespace {

struct Row {
  const char *name, *fallback, *what;
};

constexpr Row kThreads{"LMC_THREADS", "all cores of this process",
                       "worker threads of a session; results do not depend on it"};
constexpr Row kCacheFolder{"LMC_CACHE_DIR", "$XDG_CACHE_HOME/lmc or ~/.cache/lmc",
                           "folder of compiled kernels"};
constexpr Row kLog{"LMC_LOG", "info", "messages on stderr: quiet, info or debug"};
constexpr Row kCudaSync{
    "LMC_CUDA_SYNC", "0",
    "1: a GPU finishes each launch before the next, so that an error names its op; slower"};
constexpr Row kShared{"LMC_SHARED", "../shared", "tests only: folder of reference data"};
constexpr Row kRows[] = {kThreads, kCacheFolder, kLog, kCudaSync, kShared};

/// An empty variable counts as unset, as in most shells' ${NAME:-default}.
std::optional<std::string> read(const char *name) {
  const char *value = std::getenv(name);
  if (!value || !*value)
    return std::nullopt;
  return value;
}

} // namespace

std::optional<int> threads() {
  auto value = read(kThreads.name);
  if (!value)
    return std::nullopt;
  int count = 0;
  auto [end, code] = std::from_chars(value->data(), value->data() + value->size(), count);
  if (code != std::errc() || *end || count < 1 || count > 1024)
    fail("{}: '{}' is not a number of threads (1 to 1024)", kThreads.name, *value);
  return count;
}

std::optional<fs::path> cacheFolder() {
  if (auto folder = read(kCacheFolder.name))
    return fs::path(*folder);
  if (auto folder = read("XDG_CACHE_HOME"))
    return fs::path(*folder) / "lmc";
  if (auto home = read("HOME"))
    return fs::path(*home) / ".cache" / "lmc";
  return std::nullopt;
}

LogLevel logLevel() {
  std::string value = read(kLog.name).value_or(kLog.fallback);
  if (value == "quiet")
    return LogLevel::Quiet;
  if (value == "info")
    return LogLevel::Info;
  if (value == "debug")
    return LogLevel::Debug;
  fail("{}: '{}' is not a level (quiet, info or debug)", kLog.name, value);
}

bool cudaSync() {
  std::string value = read(kCudaSync.name).value_or(kCudaSync.fallback);
  if (value != "0" && value != "1")
    fail("{}: '{}' is neither 0 nor 1", kCudaSync.name, value);
  return value == "1";
}

std::optional<fs::path> sharedFolder() {
  auto folder = read(kShared.name);
  return folder ? std::optional<fs::path>(*folder) : std::nullopt;
}

std::string table() {
  std::string text;
  for (const Row &row : kRows)
    text += fmt::format("{:<14} {} (default: {})\n", row.name, row.what, row.fallback);
  return text;
}

} // namespace lmc::knobs
