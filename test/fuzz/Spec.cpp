// YAML model specs: whatever the text, an Error or a config that its canonical spec gives back.
#include "frontend/ModelConfig.h"
#include "runtime/Error.h"

#include <cstdlib>

using namespace lmc;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  ModelConfig config;
  try {
    config = readModelSpec(YAML::Load(std::string(reinterpret_cast<const char *>(data), size)),
                           "fuzz.yaml");
  } catch (const Error &) {
    return 0;
  } catch (const YAML::Exception &) {
    return 0;
  }
  if (readModelSpec(YAML::Load(canonicalSpec(config)), "canonical.yaml") != config)
    std::abort();
  return 0;
}
