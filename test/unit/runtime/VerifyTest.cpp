#include "runtime/Verify.h"

#include "runtime/Extent.h"

#include "TinyExecutable.h"

#include <gmock/gmock.h>

#include <array>
#include <functional>
#include <limits>

using namespace lmc;
using namespace lmc::test;
using testing::HasSubstr;

namespace {

using Message = lmc::executable::Executable;
constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

struct Corruption {
  std::function<void(Message &)> change;
  const char *error; // part of what must be said
};

auto &program(Message &m) { return *m.mutable_programs(0); }
auto &buffer(Message &m, int i) { return *program(m).mutable_buffers(i); }
auto &launch(Message &m, int i) { return *program(m).mutable_launches(i); }
auto &factor(Message &m) { return *launch(m, 0).mutable_items()->mutable_factors(0); }
auto &tensor(Message &m, int i) { return *m.mutable_tensors(i); }

// Tensors: 0 x, 1 w (mapped), 2 scale, 3 y, 4 total, 5 cache.
// Buffers: 0 x, 1 w, 2 product (transient), 3 scale, 4 cache, 5 y, 6 total.
const Corruption kCorruptions[] = {
    {[](Message &m) { m.set_format_version(2); }, "format_version: 2 is not supported"},
    {[](Message &m) { m.set_mode("dream"); }, "mode: 'dream'"},
    {[](Message &m) { m.set_state_bytes(~0ull); }, "state_bytes: 18446744073709551615, at most"},
    {[](Message &m) { m.set_slot_bytes(1ull << 50); }, "slot_bytes: "},
    {[](Message &m) { m.set_transient_bytes(~0ull - 10); }, "transient_bytes: "},
    {[](Message &m) { m.set_scratch_bytes(1ull << 63); }, "scratch_bytes: "},

    {[](Message &m) { m.mutable_dims(0)->set_min(-1); }, "dims[0] ('n'): bad range -1 to 100"},
    {[](Message &m) { m.mutable_dims(0)->set_min(101); }, "dims[0] ('n'): bad range 101 to 100"},
    {[](Message &m) { m.mutable_dims(0)->set_max(kHuge); }, "dims[0] ('n'): bad range"},

    {[](Message &m) { m.set_code_offset(~0ull - 63); }, "code_offset: "},
    {[](Message &m) { m.set_code_bytes(~0ull); }, "code_offset: "},
    {[](Message &m) { m.set_code_bytes(0); }, "code_bytes: 0, but there are 3 kernels"},
    {[](Message &m) { m.set_code_offset(m.code_offset() - 1); }, "is not a multiple of 64"},
    {[](Message &m) { m.mutable_kernels(0)->clear_symbol(); }, "kernels[0].symbol: "},
    {[](Message &m) { m.mutable_kernels(0)->set_symbol({"a\0b", 3}); }, "kernels[0].symbol: "},
    {[](Message &m) { m.mutable_kernels(2)->set_scratch_bytes(9); },
     "kernels[2].scratch_bytes: 9, at most 8"},

    {[](Message &m) { tensor(m, 0).set_name(""); }, "tensors[0] ('').name: empty"},
    {[](Message &m) { tensor(m, 3).set_name("x"); }, "tensors[3] ('x').name: empty or used twice"},
    {[](Message &m) { tensor(m, 0).set_role(executable::ACTIVATION); }, "role: 9"},
    {[](Message &m) { tensor(m, 0).set_role(executable::Role(77)); }, "role: 77"},
    {[](Message &m) { tensor(m, 0).clear_dtype(); }, "dtype: 0 is unknown"},
    {[](Message &m) { tensor(m, 0).set_dtype(executable::DType(50)); }, "dtype: 50 is unknown"},
    {[](Message &m) { tensor(m, 0).set_dtype(executable::F64); },
     "tensors[0] ('x').shape: 100 elements of f64 do not fit 400 bytes"},
    {[](Message &m) { tensor(m, 1).set_shape(0, 101); }, "101 elements of f32 do not fit"},
    {[](Message &m) { tensor(m, 1).set_shape(0, -2); }, "shape: not a sane extent"},
    {[](Message &m) { tensor(m, 1).add_shape(kHuge); }, "shape: not a sane extent"},
    {[](Message &m) { tensor(m, 0).add_shape(-1); }, "shape has more symbolic extents"},
    {[](Message &m) { tensor(m, 0).add_dims(0); }, "2 entries for 1 symbolic"},
    {[](Message &m) { tensor(m, 0).set_dims(0, 1); }, "shape: not a sane extent"},
    {[](Message &m) { tensor(m, 0).set_dims(0, -1); }, "shape: not a sane extent"},
    {[](Message &m) { tensor(m, 0).set_bytes(~0ull); }, "bytes: 18446744073709551615, at most"},
    {[](Message &m) { tensor(m, 0).mutable_packing(); },
     "tensors[0] ('x').packing: only a parameter"},
    {[](Message &m) {
       tensor(m, 1).mutable_packing()->add_shape(3);
       tensor(m, 1).mutable_packing()->add_shape(9);
       tensor(m, 1).clear_shape();
       for (int64_t extent : {2, 4, 4})
         tensor(m, 1).add_shape(extent);
     },
     "packing: 3 x 9 elements are not 2 panels of [4, 4]"},
    {[](Message &m) {
       // Panels of four matrices for the matrices of five experts.
       tensor(m, 1).set_dtype(executable::U8);
       tensor(m, 1).mutable_packing()->set_blocks("q4_0");
       for (int64_t extent : {5, 15, 64})
         tensor(m, 1).mutable_packing()->add_shape(extent);
       tensor(m, 1).clear_shape();
       for (int64_t extent : {4, 2, 320})
         tensor(m, 1).add_shape(extent);
       tensor(m, 1).set_bytes(4 * 2 * 320);
     },
     ".packing: only a parameter of static shape"},
    {[](Message &m) { tensor(m, 0).set_arena_offset(-2); }, "arena_offset -2 must be -1 or more"},
    {[](Message &m) { tensor(m, 0).set_arena_offset(-1); }, "neither stored in the file nor"},
    {[](Message &m) { tensor(m, 0).set_arena_offset(1024 - 64); }, "leave their region of 1024"},
    {[](Message &m) { tensor(m, 0).set_arena_offset(kHuge - 63); }, "arena_offset: "},
    {[](Message &m) { tensor(m, 0).set_arena_offset(4); }, "4 is not a multiple of 64"},
    {[](Message &m) { tensor(m, 3).set_arena_offset(384); }, "arena_offset: overlaps 'x'"},
    {[](Message &m) { tensor(m, 5).set_arena_offset(128); }, "leave their region of 464"},
    {[](Message &m) { tensor(m, 5).set_data_offset(0); }, "a cache starts as zeros"},
    {[](Message &m) { tensor(m, 1).set_data_offset(-7); }, "must be -1 or more"},
    {[](Message &m) { tensor(m, 1).set_data_offset(1ll << 40); }, "tensors[1] ('w').data_offset: "},
    {[](Message &m) { tensor(m, 1).set_data_offset(kHuge - 63); }, "data_offset: "},
    {[](Message &m) { tensor(m, 1).set_data_offset(6); }, "6 is not a multiple of 4"},

    {[](Message &m) { program(m).clear_name(); }, "programs[0] ('').name: "},
    {[](Message &m) { *m.add_programs() = m.programs(0); }, "programs[1] ('forward').name: "},
    {[](Message &m) { program(m).set_transient_bytes(401); }, "transient_bytes: 401, at most 400"},
    {[](Message &m) { program(m).set_inputs(0, 6); }, "inputs: index 6, there are 6"},
    {[](Message &m) { program(m).set_outputs(0, ~0u); }, "outputs: index 4294967295"},
    {[](Message &m) { buffer(m, 2).set_offset(64); }, "leave their region of 400"},
    {[](Message &m) { buffer(m, 2).set_offset(~0ull - 63); }, "buffers[2].transient_offset: "},
    {[](Message &m) { buffer(m, 2).set_bytes(~0ull); }, "buffers[2].transient_offset: "},
    {[](Message &m) { buffer(m, 0).set_tensor(6); }, "buffers[0].tensor: index 6, there are 6"},
    {[](Message &m) { buffer(m, 0).set_offset(64); },
     "buffers[0].tensor_offset: 400 bytes at 64 leave"},
    {[](Message &m) { buffer(m, 0).set_offset(~0ull - 63); }, "buffers[0].tensor_offset: "},
    {[](Message &m) { buffer(m, 0).set_offset(8), buffer(m, 0).set_bytes(8); },
     "buffers[0].tensor_offset: 8 is not a multiple of 64"},
    {[](Message &m) { buffer(m, 0).set_bytes(401); }, "401 bytes at 0 leave"},
    {[](Message &m) { buffer(m, 0).set_bytes(396); }, "100 elements of f32 do not fit 396"},
    {[](Message &m) { buffer(m, 0).set_segment(executable::Buffer::Segment(5)); },
     "segment: 5 is unknown"},
    {[](Message &m) { buffer(m, 0).clear_dtype(); }, "buffers[0].dtype: 0 is unknown"},

    {[](Message &m) { launch(m, 0).set_kernel(3); }, "launches[0].kernel: index 3, there are 3"},
    {[](Message &m) { launch(m, 0).set_buffers(0, 7); }, "launches[0].buffers: index 7"},
    {[](Message &m) { launch(m, 0).set_num_inputs(4); }, "num_inputs: 4 of 3 buffers"},
    {[](Message &m) { launch(m, 0).set_num_inputs(~0u); }, "num_inputs: 4294967295 of 3"},
    {[](Message &m) { launch(m, 0).clear_output_ops(); }, "1 outputs, but 0 output_ops"},
    {[](Message &m) { launch(m, 0).set_buffers(2, 1); }, "writes 'w', which is read-only"},
    {[](Message &m) { tensor(m, 3).set_role(executable::CONSTANT); }, "writes 'y', which is read"},
    {[](Message &m) { launch(m, 0).set_grain(-1); }, "items or grain is not a sane count"},
    {[](Message &m) { launch(m, 0).set_grain(kHuge); }, "items or grain is not a sane count"},
    {[](Message &m) { factor(m).set_div(0); }, "items or grain is not a sane count"},
    {[](Message &m) { factor(m).set_div(-1); }, "items or grain is not a sane count"},
    {[](Message &m) { factor(m).set_mul(-1); }, "items or grain is not a sane count"},
    {[](Message &m) { factor(m).set_mul(kHuge); }, "items or grain is not a sane count"},
    {[](Message &m) { factor(m).set_dim(1); }, "items or grain is not a sane count"},
    {[](Message &m) { factor(m).set_dim(INT32_MAX); }, "items or grain is not a sane count"},
};

auto &map(Message &m) { return *m.mutable_kernels(0)->mutable_tensor_maps(0); }

/// The same message for a GPU: its first kernel, which launch 0 runs, sees x as 25 rows of 8 bf16.
Message gpuMessage() {
  Message message = tinyMessage();
  message.set_target("cuda:sm_90a");
  for (executable::Kernel &kernel : *message.mutable_kernels())
    kernel.set_block_threads(128);
  executable::TensorMap &map = *message.mutable_kernels(0)->add_tensor_maps();
  map.set_dtype(executable::BF16);
  map.set_swizzle_bytes(128);
  for (int64_t size : {8, 25}) {
    auto *factor = map.add_sizes()->add_factors();
    factor->set_dim(-1);
    factor->set_mul(size);
    map.add_box(8);
  }
  auto *factor = map.add_strides()->add_factors();
  factor->set_dim(-1);
  factor->set_mul(16);
  return message;
}

const Corruption kGpuCorruptions[] = {
    {[](Message &m) { m.mutable_kernels(1)->set_block_threads(0); }, "block_threads: 0 is not 1"},
    {[](Message &m) { m.mutable_kernels(1)->set_shared_bytes(1 << 20); }, "shared_bytes: 1048576"},
    {[](Message &m) { m.mutable_kernels(0)->set_addresses(2); },
     "buffers: 3, but the kernel takes 2 addresses"},
    {[](Message &m) { map(m).clear_sizes(); }, "kernels[0].tensor_maps[0]: 0 sizes, 1 strides"},
    {[](Message &m) { map(m).clear_strides(); }, "2 sizes, 0 strides and 2 box sizes"},
    {[](Message &m) { map(m).add_box(1); }, "3 box sizes are not those of 1 to 5"},
    {[](Message &m) { map(m).clear_dtype(); }, "tensor_maps[0].dtype: 0 is unknown"},
    {[](Message &m) { map(m).set_dtype(executable::F32); }, "f32 in rows of 128 bytes"},
    {[](Message &m) { map(m).set_swizzle_bytes(64); }, "bf16 in rows of 64 bytes"},
    {[](Message &m) { map(m).set_box(1, 0); }, "box: 0 is not 1 to 256"},
    {[](Message &m) { map(m).set_box(1, 257); }, "box: 257 is not 1 to 256"},
    {[](Message &m) { map(m).set_box(0, 72); }, "box: 72 elements are more than 128 bytes"},
    {[](Message &m) { map(m).mutable_sizes(0)->mutable_factors(0)->set_mul(0); },
     "sizes: not a sane extent"},
    {[](Message &m) { map(m).mutable_sizes(0)->mutable_factors(0)->set_mul(kHuge); },
     "sizes: not a sane extent"},
    {[](Message &m) { map(m).mutable_strides(0)->mutable_factors(0)->set_mul(8); },
     "strides: not a sane multiple of 16"},
    {[](Message &m) { map(m).set_offset(8); }, "offset: 8 is not a multiple of 16"},
    {[](Message &m) { map(m).set_buffer(3); }, "tensor_maps.buffer: index 3, there are 3"},
    {[](Message &m) { map(m).set_offset(16); }, "a map leaves its buffer of 400 bytes"},
    {[](Message &m) { map(m).set_offset(~0ull - 15); }, "a map leaves its buffer"},
    {[](Message &m) { map(m).mutable_sizes(1)->mutable_factors(0)->set_mul(26); },
     "a map leaves its buffer"},
};

} // namespace

TEST(Verify, AcceptsASoundMessage) {
  EXPECT_EQ(errorOf([] { verify(tinyMessage(), tinyData().size()); }), "");
}

TEST(Verify, NamesEachCorruption) {
  uint64_t dataBytes = tinyData().size();
  for (const Corruption &corruption : kCorruptions) {
    Message message = tinyMessage();
    corruption.change(message);
    EXPECT_THAT(errorOf([&] { verify(message, dataBytes); }), HasSubstr(corruption.error));
  }
}

TEST(Verify, NamesEachCorruptionOfAGpusKernels) {
  uint64_t dataBytes = tinyData().size();
  EXPECT_EQ(errorOf([&] { verify(gpuMessage(), dataBytes); }), "");
  for (const Corruption &corruption : kGpuCorruptions) {
    Message message = gpuMessage();
    corruption.change(message);
    EXPECT_THAT(errorOf([&] { verify(message, dataBytes); }), HasSubstr(corruption.error));
  }
}

TEST(Extent, RoundsEachFactorUp) {
  executable::Extent extent;
  std::array<int64_t, 2> dims = {10, 7};
  EXPECT_EQ(evaluate(extent, dims), 1);
  auto add = [&](int dim, int64_t mul, int64_t div) {
    auto &factor = *extent.add_factors();
    factor.set_dim(dim);
    factor.set_mul(mul);
    factor.set_div(div);
  };
  add(0, 1, 4); // ceil(10 / 4) = 3
  EXPECT_EQ(evaluate(extent, dims), 3);
  add(-1, 5, 0); // a plain 5
  EXPECT_EQ(evaluate(extent, dims), 15);
  add(1, 3, 2); // ceil(21 / 2) = 11
  EXPECT_EQ(evaluate(extent, dims), 165);
  add(-1, int64_t(1) << 60, 0);
  EXPECT_EQ(tryEvaluate(extent, dims), std::nullopt);
}
