// See FakeCublasLt.h.
#include "FakeCublasLt.h"

#include "runtime/Bfloat16.h"
#include "runtime/CublasLt.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

using Lt = lmc::CublasLt;

extern "C" lmc::test::FakeCublasLt fakeCublasLt;
lmc::test::FakeCublasLt fakeCublasLt;

namespace {

constexpr int kInvalidValue = 7, kNotSupported = 15, kExecutionFailed = 13;

struct Description {
  int computeType, scaleType, transposeA = 0, transposeB = 0;
  uint32_t epilogue = 1;
  const void *bias = nullptr;
};

struct Layout {
  int type;
  int64_t rows, columns, step, batchStep = 0;
  int32_t batch = 1;

  size_t size() const { return type == Lt::kBfloat16 ? 2 : 4; }
  size_t bytes() const {
    return static_cast<size_t>((batch - 1) * batchStep + (columns - 1) * step + rows) * size();
  }
};

struct Preference {
  uint64_t workspace = 0;
  uint32_t reductions = 7; // all
  uint32_t alignment[4] = {256, 256, 256, 256};
};

/// What an algorithm of the fake remembers of the question that it answers.
struct Promise {
  uint64_t workspace;
  uint32_t alignment[4];
};
static_assert(sizeof(Promise) <= sizeof(Lt::Algorithm));

int complain(const char *what) {
  if (!fakeCublasLt.complaint[0])
    std::snprintf(fakeCublasLt.complaint, sizeof fakeCublasLt.complaint, "%s", what);
  return kInvalidValue;
}

template <typename T> int take(T &to, const void *value, size_t bytes) {
  if (bytes != sizeof(T))
    return complain("an attribute of another size");
  std::memcpy(&to, value, bytes);
  return 0;
}

template <typename T> int make(void **to, T value) {
  *to = new T(value);
  ++fakeCublasLt.open;
  return 0;
}

template <typename T> int destroy(void *object) {
  delete static_cast<T *>(object);
  --fakeCublasLt.open;
  return 0;
}

float load(const Layout &layout, const void *data, int64_t index) {
  if (layout.type != Lt::kBfloat16)
    return static_cast<const float *>(data)[index];
  return lmc::bfloat16ToFloat(static_cast<const uint16_t *>(data)[index]);
}

void store(const Layout &layout, void *data, int64_t index, float value) {
  if (layout.type != Lt::kBfloat16)
    static_cast<float *>(data)[index] = value;
  else
    static_cast<uint16_t *>(data)[index] = lmc::floatToBfloat16(value);
}

/// A call of cublasLtMatmul, by value: the caller's objects may be gone when the stream gets there.
struct Call {
  Description description;
  Layout a, b, c, d;
  const void *aAt, *bAt, *cAt;
  void *dAt, *workspace;
  float alpha, beta;
  size_t workspaceBytes;

  int64_t depth() const { return description.transposeA ? a.rows : a.columns; }

  float sum(int64_t batch, int64_t row, int64_t column) const {
    float total = 0;
    for (int64_t k = 0; k < depth(); ++k) {
      int64_t atA = description.transposeA ? row * a.step + k : k * a.step + row;
      int64_t atB = description.transposeB ? k * b.step + column : column * b.step + k;
      total += load(a, aAt, batch * a.batchStep + atA) * load(b, bAt, batch * b.batchStep + atB);
    }
    return total;
  }

  float finished(int64_t batch, int64_t row, int64_t column) const {
    float value = alpha * sum(batch, row, column);
    if (beta != 0)
      value += beta * load(c, cAt, batch * c.batchStep + column * c.step + row);
    if ((description.epilogue & Lt::kBias) && !fakeCublasLt.ignoresBias)
      value += load(d, description.bias, row);
    if (description.epilogue & Lt::kGelu)
      value = 0.5f * value *
              (1 + std::tanh(0.7978845608f * (value + 0.044715f * value * value * value)));
    return value;
  }

  bool isInMemory(const void *start, size_t bytes) const {
    return fakeCublasLt.isDevice(reinterpret_cast<unsigned long long>(start), bytes);
  }

  int run() const {
    bool biased = description.epilogue & Lt::kBias;
    if (!isInMemory(aAt, a.bytes()) || !isInMemory(bAt, b.bytes()) || !isInMemory(dAt, d.bytes()) ||
        (beta != 0 && !isInMemory(cAt, c.bytes())) || !isInMemory(workspace, workspaceBytes) ||
        (biased && !isInMemory(description.bias, static_cast<size_t>(d.rows) * d.size()))) {
      complain("a matrix outside of the GPU's memory");
      return 719;
    }
    ++fakeCublasLt.ran;
    std::memset(workspace, 0xff, fakeCublasLt.needs); // it is the library's alone
    std::vector<float> results;
    for (int64_t batch = 0; batch < d.batch; ++batch)
      for (int64_t column = 0; column < d.columns; ++column)
        for (int64_t row = 0; row < d.rows; ++row)
          results.push_back(finished(batch, row, column));
    size_t next = 0;
    for (int64_t batch = 0; batch < d.batch; ++batch)
      for (int64_t column = 0; column < d.columns; ++column)
        for (int64_t row = 0; row < d.rows; ++row)
          store(d, dAt, batch * d.batchStep + column * d.step + row, results[next++]);
    return 0;
  }
};

/// Do the matrices fit each other, as the reference asks?
int checkShapes(const Description &of, const Layout &a, const Layout &b, const Layout &c,
                const Layout &d) {
  if (of.computeType != Lt::kComputeFloat32 || of.scaleType != Lt::kFloat32)
    return complain("sums that are not f32");
  if (a.type != b.type || c.type != d.type || (a.type == Lt::kFloat32 && d.type != Lt::kFloat32))
    return complain("types that do not go together");
  int64_t m = of.transposeA ? a.columns : a.rows, k = of.transposeA ? a.rows : a.columns;
  int64_t n = of.transposeB ? b.rows : b.columns, k2 = of.transposeB ? b.columns : b.rows;
  if (m != d.rows || n != d.columns || k != k2 || c.rows != d.rows || c.columns != d.columns)
    return complain("sizes that do not go together");
  for (const Layout *each : {&a, &b, &c, &d})
    if (each->step < each->rows || each->batch != d.batch)
      return complain("a matrix whose columns overlap, or another batch");
  if ((of.epilogue & Lt::kBias) && !of.bias)
    return complain("a bias without a place");
  return 0;
}

bool isAligned(const void *address, uint32_t to) {
  return reinterpret_cast<uintptr_t>(address) % to == 0;
}

} // namespace

extern "C" {

size_t cublasLtGetVersion() { return 130001; }

const char *cublasLtGetStatusString(int status) {
  return status == kInvalidValue      ? "the fake was given an invalid value"
         : status == kNotSupported    ? "not supported"
         : status == kExecutionFailed ? "execution failed"
                                      : "unknown";
}

int cublasLtCreate(void **handle) { return make<int>(handle, 0); }
int cublasLtDestroy(void *handle) { return destroy<int>(handle); }

int cublasLtMatmulDescCreate(void **made, int computeType, int scaleType) {
  return make(made, Description{computeType, scaleType});
}
int cublasLtMatmulDescDestroy(void *object) { return destroy<Description>(object); }
int cublasLtMatmulDescSetAttribute(void *object, int attribute, const void *value, size_t bytes) {
  auto &description = *static_cast<Description *>(object);
  switch (attribute) {
  case Lt::kTransposeA:
    return take(description.transposeA, value, bytes);
  case Lt::kTransposeB:
    return take(description.transposeB, value, bytes);
  case Lt::kEpilogue:
    return take(description.epilogue, value, bytes);
  case Lt::kBiasPointer:
    return take(description.bias, value, bytes);
  default:
    return complain("an unknown attribute of a description");
  }
}

int cublasLtMatrixLayoutCreate(void **made, int type, uint64_t rows, uint64_t columns,
                               int64_t step) {
  if (type != Lt::kFloat32 && type != Lt::kBfloat16)
    return complain("an unknown element type");
  return make(made, Layout{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), step});
}
int cublasLtMatrixLayoutDestroy(void *object) { return destroy<Layout>(object); }
int cublasLtMatrixLayoutSetAttribute(void *object, int attribute, const void *value, size_t bytes) {
  auto &layout = *static_cast<Layout *>(object);
  if (attribute == Lt::kBatchCount)
    return take(layout.batch, value, bytes);
  if (attribute == Lt::kBatchStride)
    return take(layout.batchStep, value, bytes);
  return complain("an unknown attribute of a layout");
}

int cublasLtMatmulPreferenceCreate(void **made) { return make(made, Preference()); }
int cublasLtMatmulPreferenceDestroy(void *object) { return destroy<Preference>(object); }
int cublasLtMatmulPreferenceSetAttribute(void *object, int attribute, const void *value,
                                         size_t bytes) {
  auto &preference = *static_cast<Preference *>(object);
  if (attribute == Lt::kMostWorkspace)
    return take(preference.workspace, value, bytes);
  if (attribute == Lt::kReductions)
    return take(preference.reductions, value, bytes);
  if (attribute >= Lt::kAlignmentA && attribute <= Lt::kAlignmentD)
    return take(preference.alignment[attribute - Lt::kAlignmentA], value, bytes);
  return complain("an unknown preference");
}

int cublasLtMatmulAlgoGetHeuristic(void *, void *description, void *a, void *b, void *c, void *d,
                                   void *wanted, int most, Lt::Heuristic *results, int *found) {
  auto &fake = fakeCublasLt;
  const auto &preference = *static_cast<Preference *>(wanted);
  ++fake.heuristics;
  *found = 0;
  if (fake.isRecording())
    return complain("a heuristic while a graph is recorded");
  if (most < 1)
    return complain("no room for an algorithm");
  // What sums into the result or in its type is not repeatable or not exact enough.
  if (preference.reductions & ~Lt::kReductionInComputeType)
    return complain("an algorithm whose bits may differ");
  if (int status = checkShapes(*static_cast<Description *>(description), *static_cast<Layout *>(a),
                               *static_cast<Layout *>(b), *static_cast<Layout *>(c),
                               *static_cast<Layout *>(d)))
    return status;
  if (!fake.hasAlgorithms || fake.needs > preference.workspace)
    return kNotSupported;
  Promise promise{fake.needs, {}};
  std::memcpy(promise.alignment, preference.alignment, sizeof promise.alignment);
  results[0] = {};
  std::memcpy(&results[0].algorithm, &promise, sizeof promise);
  results[0].workspaceBytes = fake.needs;
  *found = 1;
  return 0;
}

int cublasLtMatmul(void *, void *description, const void *alpha, const void *aAt, void *a,
                   const void *bAt, void *b, const void *beta, const void *cAt, void *c, void *dAt,
                   void *d, const Lt::Algorithm *algorithm, void *workspace, size_t workspaceBytes,
                   void *stream) {
  auto &fake = fakeCublasLt;
  auto call = std::make_unique<Call>(
      Call{*static_cast<Description *>(description), *static_cast<Layout *>(a),
           *static_cast<Layout *>(b), *static_cast<Layout *>(c), *static_cast<Layout *>(d), aAt,
           bAt, cAt, dAt, workspace, *static_cast<const float *>(alpha),
           *static_cast<const float *>(beta), workspaceBytes});
  if (int status = checkShapes(call->description, call->a, call->b, call->c, call->d))
    return status;
  Promise promise;
  std::memcpy(&promise, algorithm, sizeof promise);
  const void *places[] = {aAt, bAt, cAt, dAt};
  for (int i = 0; i < 4; ++i)
    if (!isAligned(places[i], promise.alignment[i]))
      return complain("a matrix is less aligned than was said");
  if (workspaceBytes < promise.workspace || !isAligned(workspace, 256))
    return complain("a workspace that is too small or not aligned to 256 bytes");
  ++fake.products;
  fake.biased += (call->description.epilogue & Lt::kBias) != 0;
  fake.gelus += (call->description.epilogue & Lt::kGelu) != 0;
  fake.added += call->beta != 0;
  fake.transposedA += call->description.transposeA;
  fake.transposedB += call->description.transposeB;
  fake.rounded += call->d.type == Lt::kBfloat16;
  return fake.put(
      stream, [](void *argument) { return static_cast<Call *>(argument)->run(); }, call.release(),
      [](void *argument) { delete static_cast<Call *>(argument); });
}

} // extern "C"
