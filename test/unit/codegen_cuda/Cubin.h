// What NVIDIA's compiler made of a kernel: its instructions, and what ptxas says of it.
#pragma once

#include <string>
#include <vector>

namespace lmc::test {

/// How often instructions occur in a kernel.
struct Opcodes {
  unsigned hmma = 0, ldsm = 0, copies = 0; ///< of sm_80: mma.sync, ldmatrix, cp.async
  unsigned products = 0, tileCopies = 0;   ///< of sm_90a: wgmma, cp.async.bulk.tensor
  unsigned local = 0;                      ///< loads and stores of local memory
  unsigned all = 0;
};
Opcodes opcodesOf(const std::vector<char> &cubin, const std::string &kernel);

/// The part of NVRTC's log on one kernel, or "".
std::string reportOf(const std::string &log, const std::string &kernel);
/// Registers of a thread in that part; 0 where it has none.
unsigned registersOf(const std::string &report);

} // namespace lmc::test
