#include "runtime/Code.h"

#include "runtime/Error.h"

#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace lmc {
namespace {

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
constexpr std::string_view kMachineName = "x86_64";
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
constexpr std::string_view kMachineName = "aarch64";
#else
#error "name this processor's ELF machine here"
#endif

/// The loader trusts what it maps; this catches the mistakes that people make.
void checkElf(std::span<const std::byte> code) {
  Elf64_Ehdr header;
  if (code.size() < sizeof header)
    fail("code object: {} bytes are no ELF file", code.size());
  std::memcpy(&header, code.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN)
    fail("code object: not a 64-bit ELF shared object");
  if (header.e_machine != kMachine)
    fail("code object: made for another processor (ELF machine {}), this one is {}; compile again "
         "for this machine",
         header.e_machine, kMachineName);
  // Pages of a segment beyond the end of the file would fault when touched.
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > code.size() ||
      header.e_phnum * sizeof(Elf64_Phdr) > code.size() - header.e_phoff)
    fail("code object: program headers leave the object");
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, code.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type == PT_LOAD &&
        (segment.p_offset > code.size() || segment.p_filesz > code.size() - segment.p_offset))
      fail("code object: segment {} leaves the object", i);
  }
}

/// Without this the first wide instruction would end the process with SIGILL. Names are LLVM's;
/// those not listed come along with one that is.
void checkFeatures(std::string_view target) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const std::pair<std::string_view, bool> known[] = {
      {"+avx", __builtin_cpu_supports("avx")},
      {"+avx2", __builtin_cpu_supports("avx2")},
      {"+fma", __builtin_cpu_supports("fma")},
      {"+bmi2", __builtin_cpu_supports("bmi2")},
      {"+avx512f", __builtin_cpu_supports("avx512f")},
      {"+avx512bw", __builtin_cpu_supports("avx512bw")},
      {"+avx512dq", __builtin_cpu_supports("avx512dq")},
      {"+avx512vl", __builtin_cpu_supports("avx512vl")},
      {"+avx512vnni", __builtin_cpu_supports("avx512vnni")},
      {"+avx512bf16", __builtin_cpu_supports("avx512bf16")},
  };
  size_t begin = target.rfind(':');
  std::string_view features = begin == target.npos ? "" : target.substr(begin + 1);
  while (!features.empty()) {
    size_t end = std::min(features.find(','), features.size());
    std::string_view feature = features.substr(0, end);
    for (auto [name, present] : known)
      if (name == feature && !present)
        fail("compiled for '{}', but this processor lacks {}; compile again for this machine",
             target, feature.substr(1));
    features.remove_prefix(std::min(end + 1, features.size()));
  }
#endif
}

} // namespace

Code::Code(const Executable &executable) {
  const executable::Executable &message = executable.message();
  if (message.kernels_size() == 0)
    return;
  std::span<const std::byte> code = executable.code();
  checkElf(code);
  checkFeatures(message.target());
  try {
    descriptor = ::memfd_create("lmc-kernels", MFD_CLOEXEC);
    if (descriptor < 0)
      fail("cannot make a memory file for code: {}", std::generic_category().message(errno));
    while (!code.empty()) {
      ssize_t done = ::write(descriptor, code.data(), code.size());
      if (done < 0 && errno != EINTR)
        fail("cannot copy {} bytes of code: {}", code.size(),
             std::generic_category().message(errno));
      code = code.subspan(std::max<ssize_t>(done, 0));
    }
    // The loader compares names before files: the descriptor stays open while the library is
    // loaded, or the next object could get the same number and be taken for this one.
    std::string name = fmt::format("/proc/self/fd/{}", descriptor);
    library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
      fail("cannot load the code object: {}", ::dlerror());
    for (const executable::Kernel &kernel : message.kernels()) {
      void *address = ::dlsym(library, kernel.symbol().c_str());
      if (!address)
        fail("code object: kernel '{}' is missing", kernel.symbol());
      kernels.push_back(reinterpret_cast<KernelFunction>(address));
    }
  } catch (...) {
    release();
    throw;
  }
}

Code::~Code() { release(); }

void Code::release() {
  if (library)
    ::dlclose(library);
  if (descriptor >= 0)
    ::close(descriptor);
  library = nullptr;
  descriptor = -1;
}

} // namespace lmc
