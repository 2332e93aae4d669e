// `lmc compile --explain=resources`: what each kernel takes of a GPU, and the least time that its
// launches take on one.
#pragma once

#include "codegen/cuda/ResourceReport.h"

#include <string>

namespace lmc {

/// A header with the device and where its figures come from, then one line a kernel; or JSON. Warnings
/// of NVRTC go to stderr, a line each.
void printResources(const std::vector<cuda::KernelReport> &kernels, const cuda::Gpu &gpu,
                    bool json);

} // namespace lmc
