#include "TinyExecutable.h"

#include "runtime/KernelAbi.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>

namespace lmc::test {
namespace fs = std::filesystem;
using namespace executable;

namespace {

constexpr uint64_t kWeightBytes = kMostItems * sizeof(float);
constexpr uint64_t kScaleAt = 448, kCodeAt = 512; // after the weight's 400 bytes, both aligned

const std::string &kernelCode() {
  static const std::string code = readFile(LMC_TEST_KERNELS);
  return code;
}

void addTensor(executable::Executable &message, const char *name, Role role, int64_t extent,
               int64_t dataOffset, int64_t arenaOffset) {
  Tensor &tensor = *message.add_tensors();
  tensor.set_name(name);
  tensor.set_role(role);
  tensor.set_dtype(F32);
  tensor.add_shape(extent);
  if (extent == -1)
    tensor.add_dims(0);
  tensor.set_bytes((extent == -1 ? kMostItems : extent) * sizeof(float));
  tensor.set_data_offset(dataOffset);
  tensor.set_arena_offset(arenaOffset);
}

void setItems(Extent &extent, bool all) {
  Extent::Factor &factor = *extent.add_factors();
  factor.set_dim(all ? 0 : -1);
  factor.set_mul(1);
  factor.set_div(1);
}

uint32_t addBuffer(Program &program, int tensor, bool all) {
  Buffer &buffer = *program.add_buffers();
  buffer.set_segment(tensor < 0 ? Buffer::TRANSIENT : Buffer::TENSOR);
  buffer.set_tensor(tensor < 0 ? 0 : tensor);
  buffer.set_bytes((all ? kMostItems : 1) * sizeof(float));
  buffer.set_dtype(F32);
  buffer.set_role(ACTIVATION);
  setItems(*buffer.mutable_elements(), all);
  return program.buffers_size() - 1;
}

void addLaunch(executable::Executable &message, Program &program, const char *symbol,
               std::vector<uint32_t> buffers, uint32_t inputs, bool all, int64_t grain,
               uint64_t scratch) {
  Launch &launch = *program.add_launches();
  launch.set_kernel(message.kernels_size());
  for (uint32_t buffer : buffers)
    launch.add_buffers(buffer);
  launch.set_num_inputs(inputs);
  setItems(*launch.mutable_items(), all);
  launch.set_grain(grain);
  for (size_t i = inputs; i < buffers.size(); ++i) {
    launch.add_output_ops(std::string("lm.") + symbol);
    launch.add_output_paths(std::string(symbol) + ".output" + std::to_string(i - inputs));
  }
  Kernel &kernel = *message.add_kernels();
  kernel.set_symbol(symbol);
  kernel.set_family("map");
  kernel.set_scratch_bytes(scratch);
}

} // namespace

executable::Executable tinyMessage() {
  executable::Executable message;
  message.set_format_version(1);
#if defined(__x86_64__)
  message.set_target("cpu:x86_64:generic:");
#else
  message.set_target("cpu:generic:generic:");
#endif
  message.set_compiler("test");
  message.set_mode("infer");
  Dim &dim = *message.add_dims();
  dim.set_name("n");
  dim.set_min(1);
  dim.set_max(kMostItems);

  enum { X, W, Scale, Y, Total, Cache };
  addTensor(message, "x", INPUT, -1, -1, 0);
  addTensor(message, "w", PARAMETER, kMostItems, 0, -1);
  addTensor(message, "scale", STATE, 1, kScaleAt, 448);
  addTensor(message, "y", OUTPUT, -1, -1, 512);
  addTensor(message, "total", OUTPUT, 1, -1, 960);
  addTensor(message, "cache", CACHE, -1, -1, 64);
  message.set_state_bytes(1024);
  message.set_slot_bytes(464);
  message.set_transient_bytes(400);
  message.set_scratch_bytes(8);

  Program &program = *message.add_programs();
  program.set_name("forward");
  program.set_transient_bytes(400);
  program.add_inputs(X);
  program.add_outputs(Y);
  program.add_outputs(Total);
  uint32_t x = addBuffer(program, X, true), w = addBuffer(program, W, true),
           product = addBuffer(program, -1, true), scale = addBuffer(program, Scale, false),
           cache = addBuffer(program, Cache, true), y = addBuffer(program, Y, true),
           total = addBuffer(program, Total, false);
  addLaunch(message, program, "multiply", {x, w, product}, 2, true, 7, 0);
  addLaunch(message, program, "accumulate", {product, scale, cache, y}, 2, true, 0, 0);
  addLaunch(message, program, "sum", {y, total}, 1, false, 0, 8);

  message.set_code_offset(kCodeAt);
  message.set_code_bytes(kernelCode().size());
  (*message.mutable_metadata())["model"] = "tiny";
  (*message.mutable_metadata())["source_path"] = "tiny.yaml";
  return message;
}

DataSection tinyData() {
  DataSection data(kCodeAt + kernelCode().size());
  std::vector<float> weight(kMostItems);
  for (int64_t i = 0; i < kMostItems; ++i)
    weight[i] = tinyWeight(i);
  std::memcpy(data.data(), weight.data(), kWeightBytes);
  std::memcpy(data.data() + kScaleAt, &kScale, sizeof kScale);
  std::memcpy(data.data() + kCodeAt, kernelCode().data(), kernelCode().size());
  return data;
}

std::shared_ptr<const lmc::Executable> tinyExecutable() {
  return std::make_shared<lmc::Executable>(tinyMessage(), tinyData());
}

Folder::Folder() {
  std::string pattern = (fs::temp_directory_path() / "lmc-test-XXXXXX").string();
  path = ::mkdtemp(pattern.data());
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

size_t Folder::numFiles() const {
  return std::distance(fs::directory_iterator(path), fs::directory_iterator());
}

std::string readFile(const fs::path &file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_TRUE(in) << file;
  return text.str();
}

void writeFile(const fs::path &file, const std::string &bytes) {
  fs::remove(file); // some file systems sync a file that is truncated and written again
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << bytes;
  out.close();
  ASSERT_TRUE(out) << file;
}

} // namespace lmc::test
