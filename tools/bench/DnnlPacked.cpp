// oneDNN's matmul primitive with weights in the layout that it asks for, through the C API of
// version 2 without its headers: descriptors are opaque blocks of memory here.
#include "tools/bench/Blas.h"

#include "runtime/Error.h"

#include <dlfcn.h>

#include <array>
#include <memory>
#include <vector>

namespace lmc::bench {
namespace {

// Values of dnnl_types.h, 2.x.
constexpr int kCpu = 1, kInOrder = 1, kF32 = 3, kAny = 1, kRowMajor = 3 /* ab */,
              kQueryWeights = 131, kSource = 1, kWeights = 33, kDestination = 17;

/// More than any descriptor takes (dnnl_matmul_desc_t holds four of some 700 bytes).
using Block = std::array<std::byte, 16384>;
struct Argument {
  int index;
  void *memory;
};

class Packed {
public:
  Packed(void *library, const ProductShape &s, const float *b) : library(library) {
    call("dnnl_engine_create", &engine, kCpu, size_t(0));
    call("dnnl_stream_create", &stream, engine, unsigned(kInOrder));
    auto source = std::make_unique<Block>(), any = std::make_unique<Block>(),
         plain = std::make_unique<Block>(), destination = std::make_unique<Block>(),
         product = std::make_unique<Block>();
    describe(*source, s.m, s.k, kRowMajor);
    describe(*any, s.k, s.n, kAny);
    describe(*plain, s.k, s.n, kRowMajor);
    describe(*destination, s.m, s.n, kRowMajor);
    call("dnnl_matmul_desc_init", product->data(), source->data(), any->data(),
         static_cast<void *>(nullptr), destination->data());
    void *form = nullptr, *reorderForm = nullptr, *reorder = nullptr;
    call("dnnl_primitive_desc_create", &form, product->data(), static_cast<void *>(nullptr), engine,
         static_cast<void *>(nullptr));
    auto query = find<const void *(*)(void *, int, int)>("dnnl_primitive_desc_query_md");
    const void *wanted = query(form, kQueryWeights, 0);
    // A null handle waits for run(); all bits set asks for memory of its own.
    void *own = reinterpret_cast<void *>(~uintptr_t(0)), *none = nullptr, *plainMemory = nullptr;
    call("dnnl_memory_create", &weights, wanted, engine, own);
    call("dnnl_memory_create", &plainMemory, static_cast<const void *>(plain->data()), engine,
         const_cast<void *>(static_cast<const void *>(b)));
    call("dnnl_memory_create", &input, static_cast<const void *>(source->data()), engine, none);
    call("dnnl_memory_create", &output, static_cast<const void *>(destination->data()), engine,
         none);
    call("dnnl_reorder_primitive_desc_create", &reorderForm,
         static_cast<const void *>(plain->data()), engine, wanted, engine,
         static_cast<void *>(nullptr));
    call("dnnl_primitive_create", &reorder, reorderForm);
    execute(reorder, {{kSource, plainMemory}, {kDestination, weights}});
    call("dnnl_primitive_create", &matmul, form);
  }

  void run(const float *a, float *y) {
    call("dnnl_memory_set_data_handle", input, const_cast<float *>(a));
    call("dnnl_memory_set_data_handle", output, y);
    execute(matmul, {{kSource, input}, {kWeights, weights}, {kDestination, output}});
  }

private:
  template <typename Function> Function find(const char *symbol) const {
    void *found = dlsym(library, symbol);
    if (!found)
      fail("oneDNN has no {}: version 2 is expected", symbol);
    return reinterpret_cast<Function>(found);
  }
  template <typename... Arguments> void call(const char *symbol, Arguments... arguments) const {
    if (int status = find<int (*)(Arguments...)>(symbol)(arguments...))
      fail("{} returned {}", symbol, status);
  }
  void describe(Block &block, int64_t rows, int64_t columns, int tag) const {
    int64_t dims[] = {rows, columns};
    call("dnnl_memory_desc_init_by_tag", block.data(), 2, static_cast<const int64_t *>(dims), kF32,
         tag);
  }
  void execute(void *primitive, std::vector<Argument> arguments) const {
    call("dnnl_primitive_execute", primitive, stream, int(arguments.size()),
         static_cast<const Argument *>(arguments.data()));
    call("dnnl_stream_wait", stream);
  }

  void *library; // its objects live as long as the process
  void *engine = nullptr, *stream = nullptr, *matmul = nullptr;
  void *weights = nullptr, *input = nullptr, *output = nullptr;
};

} // namespace

Sgemm findPackedSgemm(const ProductShape &shape, const float *b, int threads) {
  void *library = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!library || shape.transposeA || shape.transposeB)
    return nullptr;
  void *openMp = dlopen("libgomp.so.1", RTLD_NOW | RTLD_LOCAL);
  if (void *set = openMp ? dlsym(openMp, "omp_set_num_threads") : nullptr)
    reinterpret_cast<void (*)(int)>(set)(threads);
  auto packed = std::make_shared<Packed>(library, shape, b);
  return [packed](const ProductShape &, const float *a, const float *, float *y) {
    packed->run(a, y);
  };
}

} // namespace lmc::bench
