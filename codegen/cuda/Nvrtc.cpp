#include "codegen/cuda/Nvrtc.h"

#include "runtime/Error.h"
#include "runtime/OptionalLibrary.h"

namespace lmc::cuda {

/// What is used of nvrtc.h, whose types are an opaque pointer and an enum with 0 for success.
struct Nvrtc::Functions {
  using Program = void *;
  int (*nvrtcVersion)(int *major, int *minor);
  const char *(*nvrtcGetErrorString)(int result);
  int (*nvrtcCreateProgram)(Program *, const char *source, const char *name, int numHeaders,
                            const char *const *headers, const char *const *includeNames);
  int (*nvrtcDestroyProgram)(Program *);
  int (*nvrtcCompileProgram)(Program, int numOptions, const char *const *options);
  int (*nvrtcGetProgramLogSize)(Program, size_t *);
  int (*nvrtcGetProgramLog)(Program, char *);
  int (*nvrtcGetCUBINSize)(Program, size_t *);
  int (*nvrtcGetCUBIN)(Program, char *);
  int (*nvrtcGetPTXSize)(Program, size_t *);
  int (*nvrtcGetPTX)(Program, char *);

  std::string missing; ///< why there is no library; empty: it is open

  Functions() {
    OptionalLibrary library(
        {"NVIDIA's run-time compiler",
         {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"},
         "install version 12 or later of it (NVIDIA's package cuda-nvrtc-13-0; Ubuntu 24.04: "
         "libnvrtc12)"});
#define LMC_FIND(name) library.find(name, #name);
    LMC_FIND(nvrtcVersion)
    LMC_FIND(nvrtcGetErrorString)
    LMC_FIND(nvrtcCreateProgram)
    LMC_FIND(nvrtcDestroyProgram)
    LMC_FIND(nvrtcCompileProgram)
    LMC_FIND(nvrtcGetProgramLogSize)
    LMC_FIND(nvrtcGetProgramLog)
    LMC_FIND(nvrtcGetCUBINSize)
    LMC_FIND(nvrtcGetCUBIN)
    LMC_FIND(nvrtcGetPTXSize)
    LMC_FIND(nvrtcGetPTX)
#undef LMC_FIND
    missing = library.missing();
  }
};

const Nvrtc *Nvrtc::open(std::string *why) {
  static const Functions functions;
  static const Nvrtc compiler(functions);
  if (functions.missing.empty())
    return &compiler;
  if (why)
    *why = functions.missing;
  return nullptr;
}

std::string Nvrtc::version() const {
  int major = 0, minor = 0;
  call.nvrtcVersion(&major, &minor);
  return fmt::format("{}.{}", major, minor);
}

int64_t parameterBytes() {
  std::string why;
  const Nvrtc *compiler = Nvrtc::open(&why);
  return compiler && compiler->version() == "12.0" ? 4096 : 32764;
}

std::vector<char> Nvrtc::compile(const std::string &source, std::vector<std::string> options,
                                 bool binary, std::string *log) const {
  // A kernel may name an index that its expressions turn out not to need (177).
  options.insert(options.end(), {"--std=c++17", "--fmad=false", "--diag-suppress=177"});
  std::vector<const char *> arguments;
  for (const std::string &option : options)
    arguments.push_back(option.c_str());
  auto check = [&](int result, const char *what) {
    if (result != 0)
      fail("NVRTC {} cannot {}: {}", version(), what, call.nvrtcGetErrorString(result));
  };
  struct Program {
    const Functions &call;
    Functions::Program handle = nullptr;
    ~Program() { call.nvrtcDestroyProgram(&handle); }
  } program{call};
  check(call.nvrtcCreateProgram(&program.handle, source.c_str(), "kernels.cu", 0, nullptr, nullptr),
        "start");
  int result = call.nvrtcCompileProgram(program.handle, static_cast<int>(arguments.size()),
                                        arguments.data());
  size_t size = 0;
  check(call.nvrtcGetProgramLogSize(program.handle, &size), "give its log");
  std::string text(size, '\0');
  check(call.nvrtcGetProgramLog(program.handle, text.data()), "give its log");
  text.resize(text.find_last_not_of(std::string("\0\n ", 3)) + 1);
  if (result != 0)
    fail("NVRTC {} cannot compile for {}: {}\n{}", version(), options.front(),
         call.nvrtcGetErrorString(result), text);
  if (log)
    *log = text;
  check(binary ? call.nvrtcGetCUBINSize(program.handle, &size)
               : call.nvrtcGetPTXSize(program.handle, &size),
        "give its result");
  std::vector<char> bytes(size);
  check(binary ? call.nvrtcGetCUBIN(program.handle, bytes.data())
               : call.nvrtcGetPTX(program.handle, bytes.data()),
        "give its result");
  return bytes;
}

std::vector<char> Nvrtc::cubin(const std::string &source, const std::string &architecture,
                               std::string *log) const {
  return compile(source, {"--gpu-architecture=" + architecture, "--ptxas-options=-v"}, true, log);
}

std::string Nvrtc::ptx(const std::string &source, const std::string &architecture) const {
  std::vector<char> text = compile(source, {"--gpu-architecture=" + architecture}, false, nullptr);
  return std::string(text.data()); // NVRTC counts the closing zero
}

} // namespace lmc::cuda
