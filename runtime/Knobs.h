// Every environment variable that lmc reads. Knobs.cpp is the project's only caller of getenv.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace lmc::knobs {

/// LMC_THREADS, 1 to 1024; nothing when unset. Throws Error for anything else.
std::optional<int> threads();

/// LMC_CACHE_DIR, else $XDG_CACHE_HOME/lmc, else ~/.cache/lmc; nothing when none of them is set.
std::optional<std::filesystem::path> cacheFolder();

enum class LogLevel { Quiet, Info, Debug };
/// LMC_LOG. Throws Error for an unknown level.
LogLevel logLevel();

/// LMC_CUDA_SYNC: whether a GPU finishes each launch before the next. Throws Error for anything but 0
/// and 1.
bool cudaSync();

/// LMC_SHARED: where tests find reference data; nothing when unset.
std::optional<std::filesystem::path> sharedFolder();

/// The table for `lmc --help-env`: a line each of name, default, what it does.
std::string table();

} // namespace lmc::knobs
