// GGUF files as models: whatever the bytes, an Error or a config, and a tokenizer that encodes.
#include "frontend/gguf/GgufModel.h"
#include "frontend/gguf/GgufTokenizer.h"
#include "runtime/Error.h"

#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

using namespace lmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int file = memfd_create("fuzz.gguf", 0);
  if (file < 0 || ftruncate(file, 0) || pwrite(file, data, size, 0) != ssize_t(size))
    std::abort();
  try {
    GgufFile gguf = GgufFile::open("/proc/self/fd/" + std::to_string(file));
    try {
      readGgufConfig(gguf);
    } catch (const Error &) {
    }
    auto tokenizer = makeTokenizer(readGgufTokenizer(gguf.metadata()), "fuzz.gguf");
    for (int32_t id : tokenizer->encode("Hello  world 123\n", true))
      tokenizer->tokenBytes(id);
  } catch (const Error &) {
  }
  return 0;
}
