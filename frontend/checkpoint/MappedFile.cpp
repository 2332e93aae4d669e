#include "frontend/checkpoint/MappedFile.h"

#include "runtime/Error.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace lmc {

MappedFile::MappedFile(const std::filesystem::path &path) {
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    fail("'{}': cannot be opened: {}", path.string(), std::strerror(errno));
  struct stat status;
  const char *problem = nullptr;
  if (fstat(descriptor, &status) != 0)
    problem = std::strerror(errno);
  else if (!S_ISREG(status.st_mode))
    problem = "not a regular file";
  if (!problem && status.st_size > 0) {
    void *address = mmap(nullptr, size_t(status.st_size), PROT_READ, MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED)
      problem = std::strerror(errno);
    else
      mapped = {static_cast<const std::byte *>(address), size_t(status.st_size)};
  }
  close(descriptor);
  if (problem)
    fail("'{}': cannot be read: {}", path.string(), problem);
}

MappedFile::~MappedFile() {
  if (!mapped.empty())
    munmap(const_cast<std::byte *>(mapped.data()), mapped.size());
}

MappedFile::MappedFile(MappedFile &&other) noexcept : mapped(std::exchange(other.mapped, {})) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(mapped, other.mapped);
  return *this;
}

} // namespace lmc
