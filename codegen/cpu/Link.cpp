// The linker step of Lowering.h, with LLD as a library, and the loader for tests.
#include "codegen/cpu/Lowering.h"
#include "runtime/Error.h"

#include "lld/Common/Driver.h"
#include "llvm/Support/raw_ostream.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

namespace lmc::cpu {
namespace {

/// A file without a name, so that lld, which wants paths, can read memory.
class MemoryFile {
public:
  explicit MemoryFile(std::span<const std::byte> bytes) : fd(memfd_create("lmc", MFD_CLOEXEC)) {
    if (fd < 0)
      fail("cannot create a file in memory: {}", std::strerror(errno));
    for (size_t done = 0; done < bytes.size();) {
      ssize_t n = write(fd, bytes.data() + done, bytes.size() - done);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0) {
        close(fd);
        fail("cannot write a file in memory: {}", std::strerror(errno));
      }
      done += static_cast<size_t>(n);
    }
  }
  ~MemoryFile() { close(fd); }
  MemoryFile(const MemoryFile &) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd); }

private:
  int fd;
};

/// lld renames a finished file into place, so its output needs a folder.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lmc-link-XXXXXX").string();
    if (!mkdtemp(pattern.data()))
      fail("cannot create a folder in '{}': {}", std::filesystem::temp_directory_path().string(),
           std::strerror(errno));
    folder = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  TemporaryFolder(const TemporaryFolder &) = delete;

  std::filesystem::path folder;
};

Bytes readAll(const std::filesystem::path &file) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  std::streamoff size = stream ? static_cast<std::streamoff>(stream.tellg()) : -1;
  if (size < 0)
    fail("the linker wrote no output");
  Bytes bytes(static_cast<size_t>(size));
  stream.seekg(0);
  if (!stream.read(reinterpret_cast<char *>(bytes.data()), size))
    fail("cannot read the linker's output");
  return bytes;
}

} // namespace

Bytes linkShared(std::span<const Bytes> objects) {
  // lld keeps global state and can run again, but only one at a time.
  static std::mutex linker;
  std::lock_guard lock(linker);

  std::vector<std::unique_ptr<MemoryFile>> files;
  TemporaryFolder output;
  std::vector<std::string> words = {"ld.lld",
                                    "-shared",
                                    "--no-undefined",
                                    "--threads=1",
                                    "--build-id=none",
                                    "--hash-style=gnu",
                                    "-z",
                                    "noexecstack",
                                    "-z",
                                    "max-page-size=4096",
                                    "-O1",
                                    "-o",
                                    (output.folder / "kernels.so").string()};
  for (const Bytes &object : objects) {
    files.push_back(std::make_unique<MemoryFile>(object));
    words.push_back(files.back()->path());
  }
  std::vector<const char *> arguments;
  for (const std::string &word : words)
    arguments.push_back(word.c_str());

  std::string messages;
  llvm::raw_string_ostream out(messages);
  lld::Result result = lld::lldMain(arguments, out, out, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    fail("cannot link CPU kernels: {}", messages);
  return readAll(output.folder / "kernels.so");
}

LoadedCode::LoadedCode(std::span<const std::byte> sharedObject) {
  // Not a file in memory: the loader recognises objects by path, and /proc/self/fd paths come
  // again.
  TemporaryFolder folder;
  std::filesystem::path file = folder.folder / "kernels.so";
  std::ofstream stream(file, std::ios::binary);
  stream.write(reinterpret_cast<const char *>(sharedObject.data()),
               static_cast<std::streamsize>(sharedObject.size()));
  stream.close();
  if (!stream)
    fail("cannot write '{}'", file.string());
  handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    fail("cannot load compiled code: {}", dlerror());
}

LoadedCode::~LoadedCode() {
  if (handle)
    dlclose(handle);
}

void *LoadedCode::find(std::string_view symbol) const {
  void *address = dlsym(handle, std::string(symbol).c_str());
  if (!address)
    fail("compiled code has no kernel '{}'", symbol);
  return address;
}

} // namespace lmc::cpu
