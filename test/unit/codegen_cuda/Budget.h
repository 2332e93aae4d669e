// Kernels through NVIDIA's compiler, for budgets of what they take.
#pragma once

#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Resources.h"

#include <map>

namespace lmc::test {

/// Compiles kernels as one text; what each takes, by its name. Expects no warning (C7514 would be
/// products that wait for one another, C7512 registers that stay where they are), no spill and no access
/// to local memory.
std::map<std::string, cuda::Resources>
resourcesInRegisters(const cuda::Nvrtc &compiler, const std::vector<cuda::Kernel> &kernels,
                     const std::string &architecture);

} // namespace lmc::test
