// NVIDIA's driver as far as a session uses it, over memory of this process and kernels that the
// emulation header compiled for the host. What is put on the stream runs when it is waited for, as late
// as is legal.
#pragma once

#include "runtime/CudaDriver.h"

#include <functional>
#include <string>

namespace lmc::test {

/// A GPU of that compute capability, without a fault; one at a time. `order` is the emulation's seed
/// of each launch.
const CudaDriver &emulatedDriver(int major = 9, int minor = 0);
void setEmulatedOrder(unsigned order);

/// Of the launches that run from now on, the one with that number, counted from 0, fails; so does all
/// that comes after it, until emulatedDriver() is called again.
void failEmulatedLaunch(int number);

/// A shared object with the kernel of a CUDA source, for CodegenOptions::assembleCuda and then
/// cuModuleLoadData of the emulated driver. Throws Error with what the compiler said.
std::string assembleForHost(const std::string &source);

/// Puts other work on the emulated stream, in order with the driver's, or into the graph that is being
/// recorded; it returns 0 or a CUresult.
int putEmulatedWork(std::function<int()> work);
bool isEmulatedRecording();
/// Does [start, start + bytes) lie in one allocation of device memory?
bool isEmulatedMemory(CudaDriver::Pointer start, size_t bytes);

/// Bytes of device memory that nobody has freed.
size_t emulatedBytes();

/// Is there work that nobody has waited for?
bool isEmulatedGpuBusy();

/// Copies so far whose host memory was not page-locked: a GPU's driver makes the caller wait for them.
size_t emulatedPageableCopies();

/// Copies to the GPU so far.
size_t emulatedUploads();

/// Tensor maps that were encoded since the process started.
size_t encodedTensorMaps();

} // namespace lmc::test
