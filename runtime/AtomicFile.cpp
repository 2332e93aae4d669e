#include "runtime/AtomicFile.h"

#include "runtime/Error.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace lmc {
namespace fs = std::filesystem;

namespace {

std::string reason(int code) { return std::generic_category().message(code); }

fs::path folderOf(const fs::path &file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

} // namespace

AtomicFile::AtomicFile(fs::path file) : target(std::move(file)) {
  std::error_code ignored;
  if (fs::is_symlink(target, ignored))
    if (fs::path real = fs::canonical(target, ignored); !ignored)
      target = real;
  fs::file_status status = fs::status(target, ignored);
  if (target.filename().empty() || (fs::exists(status) && !fs::is_regular_file(status)))
    fail("cannot write '{}': not a regular file", target.string());

  // Not mkstemp: its mode of 0600 would outlive the rename, and the umask should decide.
  static std::atomic<unsigned> counter{0};
  do {
    temporary = target;
    temporary += fmt::format(".tmp.{}.{}", ::getpid(), counter++);
    descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor < 0 && (errno == EEXIST || errno == EINTR));
  if (descriptor < 0)
    fail("cannot create '{}': {}", temporary.string(), reason(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor >= 0)
    ::close(descriptor);
  if (!temporary.empty())
    ::unlink(temporary.c_str());
}

void AtomicFile::failWith(const char *action, int code) {
  fail("cannot {} '{}': {}", action, target.string(), reason(code));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  assert(descriptor >= 0 && "written after commit");
  while (!bytes.empty()) {
    // Linux transfers at most 2 GiB at once; a smaller piece also keeps a signal's delay short.
    ssize_t done = ::write(descriptor, bytes.data(), std::min<size_t>(bytes.size(), 64u << 20));
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0)
      failWith("write", errno);
    bytes = bytes.subspan(done);
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
  assert(descriptor >= 0 && "committed twice");
  while (::fsync(descriptor) != 0)
    if (errno != EINTR)
      failWith("write", errno);
  // Network file systems report a full disk as late as here. The descriptor is gone in any case.
  int closing = ::close(descriptor);
  descriptor = -1;
  if (closing != 0 && errno != EINTR)
    failWith("write", errno);
  if (::rename(temporary.c_str(), target.c_str()) != 0)
    failWith("replace", errno);
  temporary.clear();
  syncFolder(folderOf(target));
}

void syncFolder(const fs::path &folder) {
  int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    fail("cannot open folder '{}': {}", folder.string(), reason(errno));
  int code = 0;
  while (::fsync(descriptor) != 0) {
    // Some file systems cannot sync a folder and say EINVAL: then there is nothing to wait for.
    code = errno == EINTR || errno == EINVAL ? 0 : errno;
    if (errno != EINTR)
      break;
  }
  ::close(descriptor);
  if (code != 0)
    fail("cannot sync folder '{}': {}", folder.string(), reason(code));
}

} // namespace lmc
