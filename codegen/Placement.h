// Where an executable's named tensors lie: decided last, because it depends on which parameters have
// values to store.
#pragma once

#include "codegen/Compiler.h"

#include <cstddef>
#include <vector>

namespace lmc {

/// Appends the values of stored parameters to the data section and gives every tensor its offset:
/// in the state region (in a slot's for caches), or where the file is mapped for the stored
/// parameters of an inference executable. Packed ones are packed here, from the values that their
/// names stand for, on `jobs` threads (0: as many as cores). Throws Error where values have another
/// size.
void placeTensors(executable::Executable &message, DataSection &data,
                  const ParameterData &parameters, int jobs);

} // namespace lmc
