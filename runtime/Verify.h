// Checks an executable's message before anything trusts an offset or index in it.
#pragma once

#include "runtime/Executable.pb.h"

#include <cstdint>

namespace lmc {

/// Throws Error naming the field ("programs[1].launches[4].kernel: ...") unless every index,
/// offset, size, range and enum is sane, stored bytes lie within a data section of `dataBytes`,
/// tensors lie in their regions without overlap and aligned to kArenaAlignment, buffers lie in
/// their segment and nothing that is mapped read-only is written. Checksums are load()'s business.
void verify(const executable::Executable &message, uint64_t dataBytes);

} // namespace lmc
