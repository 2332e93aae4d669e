// The one place that writes a file that must never be seen half written: executables, checkpoints,
// safetensors, .npy. Readers find the old file or the whole new one, also after a crash or power
// cut.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace lmc {

/// Collects bytes under a temporary name beside the target ("<name>.tmp.<pid>.<n>"); commit() syncs
/// them and renames. Without commit() the temporary file is removed and an older target stays as it
/// was. Every failure throws Error naming the file and the system's reason (for example a full
/// disk). Writes are not buffered: hand over large pieces.
class AtomicFile {
public:
  /// Opens the temporary file; a symbolic link is followed, so that the link stays one. The
  /// target's folder must exist, and a target that exists must be a regular file.
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// fsync, rename, fsync of the folder. Nothing may be written afterwards.
  void commit();

private:
  [[noreturn]] void failWith(const char *action, int code);

  std::filesystem::path target, temporary;
  int descriptor = -1;
};

/// Makes the names in a folder durable (after a rename or a removal in it). Throws Error.
void syncFolder(const std::filesystem::path &folder);

} // namespace lmc
