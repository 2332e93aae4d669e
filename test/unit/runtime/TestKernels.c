// Kernels of TinyExecutable.h, by the ABI of runtime/KernelAbi.h.
#include <stdint.h>

// product[i] = x[i] * w[i]
void multiply(void *const *buffers, const int64_t *dims, int64_t begin, int64_t end,
              void *scratch) {
  const float *x = buffers[0], *w = buffers[1];
  float *product = buffers[2];
  for (int64_t i = begin; i < end; ++i)
    product[i] = x[i] * w[i];
}

// cache[i] += product[i]; y[i] = cache[i] * scale[0]
void accumulate(void *const *buffers, const int64_t *dims, int64_t begin, int64_t end,
                void *scratch) {
  const float *product = buffers[0], *scale = buffers[1];
  float *cache = buffers[2], *y = buffers[3];
  for (int64_t i = begin; i < end; ++i) {
    cache[i] += product[i];
    y[i] = cache[i] * scale[0];
  }
}

// total[0] = sum of y, in double; one item. Uses scratch, so that its place matters.
void sum(void *const *buffers, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  const float *y = buffers[0];
  float *total = buffers[1];
  double *partial = scratch;
  *partial = 0;
  for (int64_t i = 0; i < dims[0]; ++i)
    *partial += y[i];
  *total = (float)*partial;
}
