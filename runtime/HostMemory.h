// How much memory the process may take.
#pragma once

#include <cstdint>
#include <filesystem>

namespace lmc {

/// Bytes: the machine's memory, or the limit of the process's cgroup (v2) or of one above it where that is
/// lower. The paths are those of the kernel; tests give others.
int64_t hostMemoryBytes(const std::filesystem::path &membership = "/proc/self/cgroup",
                        const std::filesystem::path &cgroups = "/sys/fs/cgroup");

} // namespace lmc
