#include "TinyCudaExecutable.h"

#include "EmulatedDriver.h"

#include "runtime/KernelAbi.h"

#include <cstring>

namespace lmc::test {
namespace {

using namespace executable;

constexpr const char *kSource = R"(
extern "C" __global__ void __launch_bounds__(32) twice(const float *x, float *y) {
  y[threadIdx.x] = 2 * x[threadIdx.x];
}
extern "C" __global__ void __launch_bounds__(32) add_up(const float *x, float *total, float *y) {
  total[threadIdx.x] += x[threadIdx.x];
  y[threadIdx.x] = total[threadIdx.x] / 2;
}
)";
constexpr uint64_t kBytes = kTinyItems * sizeof(float);

uint32_t addTensor(executable::Executable &message, const char *name, Role role) {
  Tensor &tensor = *message.add_tensors();
  tensor.set_name(name);
  tensor.set_role(role);
  tensor.set_dtype(F32);
  tensor.add_shape(kTinyItems);
  tensor.set_bytes(kBytes);
  tensor.set_data_offset(-1);
  tensor.set_arena_offset(static_cast<int64_t>(message.state_bytes()));
  message.set_state_bytes(message.state_bytes() + alignUp(kBytes));
  return message.tensors_size() - 1;
}

void setConstant(Extent &extent, int64_t value) {
  Extent::Factor &factor = *extent.add_factors();
  factor.set_dim(-1);
  factor.set_mul(value);
  factor.set_div(1);
}

Buffer &addBuffer(Program &program) {
  Buffer &buffer = *program.add_buffers();
  buffer.set_bytes(kBytes);
  buffer.set_dtype(F32);
  buffer.set_role(ACTIVATION);
  setConstant(*buffer.mutable_elements(), kTinyItems);
  return buffer;
}

void addLaunch(executable::Executable &message, Program &program, const char *symbol,
               const char *path, std::vector<uint32_t> buffers, std::vector<std::string> outputOps,
               uint64_t codeBytes) {
  Launch &launch = *program.add_launches();
  launch.set_kernel(message.kernels_size());
  launch.mutable_buffers()->Add(buffers.begin(), buffers.end());
  launch.set_num_inputs(static_cast<uint32_t>(buffers.size() - outputOps.size()));
  setConstant(*launch.mutable_items(), 1);
  launch.set_path(path);
  for (const std::string &op : outputOps) {
    launch.add_output_ops(op);
    launch.add_output_paths(path);
  }
  Kernel &kernel = *message.add_kernels();
  kernel.set_symbol(symbol);
  kernel.set_family("map");
  kernel.set_block_threads(kTinyItems);
  kernel.set_image_bytes(codeBytes);
}

} // namespace

std::shared_ptr<const lmc::Executable> tinyCudaExecutable() {
  std::string code = assembleForHost(kSource);
  executable::Executable message;
  message.set_format_version(1);
  message.set_target("cuda:sm_90a");
  message.set_mode("train");
  uint32_t x = addTensor(message, "x", INPUT), total = addTensor(message, "total", STATE),
           y = addTensor(message, "y", OUTPUT);
  message.set_transient_bytes(alignUp(kBytes));
  message.set_code_bytes(code.size());

  Program &program = *message.add_programs();
  program.set_name("step");
  program.set_transient_bytes(alignUp(kBytes));
  program.add_inputs(x);
  program.add_outputs(y);
  for (uint32_t tensor : {x, total, y}) {
    Buffer &buffer = addBuffer(program);
    buffer.set_segment(Buffer::TENSOR);
    buffer.set_tensor(tensor);
  }
  addBuffer(program).set_segment(Buffer::TRANSIENT);
  addLaunch(message, program, "twice", "layers.0.twice", {0, 3}, {"lm.mul"}, code.size());
  addLaunch(message, program, "add_up", "layers.1.total", {3, 1, 2}, {"lm.add", "lm.mul"},
            code.size());

  DataSection data(code.size());
  std::memcpy(data.data(), code.data(), code.size());
  return std::make_shared<lmc::Executable>(message, data);
}

} // namespace lmc::test
