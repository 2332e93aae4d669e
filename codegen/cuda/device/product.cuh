// Products of matrices: a block computes a tile of the result, or some columns of a few rows, and
// leaves the sums in shared memory, from where the kernel's own text takes each one once (fused
// pointwise ops, stores). Sums run along the depth in one order that the sizes fix.
//
// Tiles: stages of both operands lie in shared memory. Where memory holds what is multiplied they
// are filled by asynchronous copies; where elements are rounded on the way, or where no four bytes
// are known to be aligned, by loads ahead of the products of one stage and stores after them.
// Operands of bf16 go to the tensor cores: rows of tiles are padded by 16 bytes, so that the eight
// rows of a matrix that ldmatrix reads lie in different banks. Others are multiplied by fused
// multiply-adds, 4 x 4 sums or a few of them a thread.

namespace lmc {

template <typename A, typename B> constexpr bool kSame = false;
template <typename A> constexpr bool kSame<A, A> = true;

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }

/// The element as another type stores it.
template <typename To, typename From> __device__ __forceinline__ To rounded(From x) {
  if constexpr (kSame<To, From>)
    return x;
  else if constexpr (kSame<To, bfloat16>)
    return narrow(x);
  else
    return static_cast<To>(widen(x));
}

/// What products of such elements are summed in.
template <typename T> struct NumberOf {
  using Type = T;
};
template <> struct NumberOf<bfloat16> {
  using Type = float;
};

__device__ __forceinline__ float fused(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double fused(double a, double b, double c) { return fma(a, b, c); }

/// A block's part of an operand in memory. Element i across (along the result's rows or columns) and
/// d along the depth (which is summed over) is from[i * across + d * depth], rounded to Element;
/// there are `size` across. AlongDepth: neighbours along the depth are nearest in memory, else those
/// across. That dimension's step is 1 and Chunk elements of it are aligned together, or Chunk is 1.
template <typename Stored, typename Element_, bool AlongDepth, int Chunk> struct Operand {
  using Storage = Stored;
  using Element = Element_;
  using Number = typename NumberOf<Element>::Type;
  static constexpr bool kAlongDepth = AlongDepth;
  static constexpr int kChunk = Chunk;

  const Storage *from;
  long long across, depth;
  int size;

  static __device__ __forceinline__ Number number(Storage x) { return widen(rounded<Element>(x)); }
};

// --- tiles

/// Rows x Columns of the result, Depth of the operands at a time.
template <int Rows, int Columns, int Depth, int Stages, int Threads> struct Tiles {
  static constexpr int kRows = Rows, kColumns = Columns, kDepth = Depth, kStages = Stages;
  static constexpr int kThreads = Threads, kWarps = Threads / kWarp;
  static constexpr int kPitch = Columns + 8; ///< from a row of sums to the next
};

/// A tile of an operand in shared memory. For the tensor cores it lies as in memory, else rows and
/// columns of the result are neighbours.
template <typename Element, bool AlongDepth, int Across, int Depth> struct Layout {
  static constexpr bool kAlongDepth = AlongDepth && kSame<Element, bfloat16>;
  static constexpr int kPadding = 16 / sizeof(Element);
  static constexpr int kAcrossStep = kAlongDepth ? Depth + kPadding : 1;
  static constexpr int kDepthStep = kAlongDepth ? 1 : Across + kPadding;
  static constexpr int kElements = (kAlongDepth ? Across : Depth) * (kAcrossStep * kDepthStep);
  static __device__ __forceinline__ int place(int across, int depth) {
    return across * kAcrossStep + depth * kDepthStep;
  }
};

/// One thread's share of the copies of an operand's tiles, one tile after the other along the depth.
/// Threads run along lines: the dimension that is contiguous in memory.
template <typename Operand, int Across, int Depth, int Threads> class TileCopies {
public:
  using Storage = typename Operand::Storage;
  using Element = typename Operand::Element;
  using Layout = lmc::Layout<Element, Operand::kAlongDepth, Across, Depth>;

  __device__ __forceinline__ explicit TileCopies(const Operand &x)
      : line(static_cast<int>(threadIdx.x) / kChunksOfLine),
        at(static_cast<int>(threadIdx.x) % kChunksOfLine * kChunk), size(x.size) {
    const long long across = kAlong ? line : at, depth = kAlong ? at : line;
    from = x.from + across * x.across + depth * x.depth;
    lines = kLinesAtOnce * (kAlong ? x.across : x.depth);
    next = Depth * x.depth;
  }

  /// Starts to copy the next tile, of which `left` along the depth exist; zeros beyond the ends.
  __device__ __forceinline__ void start(Element *tile, int left) {
    const int end = kAlong ? left : size, numLines = kAlong ? size : left;
    const int rest = minimum(maximum(end - at, 0), kChunk);
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      const int count = line + i * kLinesAtOnce < numLines ? rest : 0;
      if constexpr (kAsync) {
        copyAsync<kChunk * sizeof(Element)>(tile + place(i), from + i * lines,
                                            count * static_cast<int>(sizeof(Element)));
      } else {
        held[i] = loadVector<kChunk>(from + i * lines, 0, count);
      }
    }
    from += next;
  }

  /// Ends what start() began where that was not an asynchronous copy.
  __device__ __forceinline__ void finish(Element *tile) {
    if constexpr (!kAsync) {
#pragma unroll
      for (int i = 0; i < kSteps; ++i) {
        Vector<Element, kChunk> elements;
        for (int j = 0; j < kChunk; ++j)
          elements.at[j] = rounded<Element>(held[i].at[j]);
        *reinterpret_cast<Vector<Element, kChunk> *>(tile + place(i)) = elements;
      }
    }
  }

private:
  static constexpr bool kAlong = Operand::kAlongDepth;
  // A chunk that is turned on its way is copied element by element.
  static constexpr int kChunk = kAlong == Layout::kAlongDepth ? Operand::kChunk : 1;
  static constexpr bool kAsync = kSame<Storage, Element> && kChunk * sizeof(Element) >= 4;
  static constexpr int kChunksOfLine = (kAlong ? Depth : Across) / kChunk;
  static constexpr int kLinesAtOnce = Threads / kChunksOfLine;
  static constexpr int kSteps = (kAlong ? Across : Depth) / kLinesAtOnce;
  static_assert(Threads % kChunksOfLine == 0 && (kAlong ? Across : Depth) % kLinesAtOnce == 0);

  __device__ __forceinline__ int place(int i) const {
    const int other = line + i * kLinesAtOnce;
    return kAlong ? Layout::place(other, at) : Layout::place(at, other);
  }

  const Storage *from; ///< this thread's first chunk of the next tile
  long long lines, next;
  int line, at, size;
  Vector<Storage, kChunk> held[kAsync ? 1 : kSteps];
};

/// A thread's sums by fused multiply-adds: groups of four neighbouring rows and columns; a warp has
/// 4 x 8 threads.
template <typename Tiles, typename T> class FmaSums {
public:
  __device__ __forceinline__ FmaSums() {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    row = 4 * (warp / 2 * 4 + lane / 8);
    column = 4 * (warp % 2 * 8 + lane % 8);
  }

  template <typename Left, typename Right>
  __device__ __forceinline__ void add(const T *a, const T *b) {
#pragma unroll 4
    for (int d = 0; d < Tiles::kDepth; ++d) {
      Vector<T, 4> left[kRowGroups], right[kColumnGroups];
      for (int i = 0; i < kRowGroups; ++i)
        left[i] = *reinterpret_cast<const Vector<T, 4> *>(a + Left::place(row + i * kRowStep, d));
      for (int j = 0; j < kColumnGroups; ++j)
        right[j] =
            *reinterpret_cast<const Vector<T, 4> *>(b + Right::place(column + j * kColumnStep, d));
#pragma unroll
      for (int i = 0; i < 4 * kRowGroups; ++i)
#pragma unroll
        for (int j = 0; j < 4 * kColumnGroups; ++j)
          sums[i][j] = fused(left[i / 4].at[i % 4], right[j / 4].at[j % 4], sums[i][j]);
    }
  }

  __device__ __forceinline__ void store(T *to) const {
#pragma unroll
    for (int i = 0; i < 4 * kRowGroups; ++i)
#pragma unroll
      for (int j = 0; j < kColumnGroups; ++j) {
        Vector<T, 4> four;
        for (int k = 0; k < 4; ++k)
          four.at[k] = sums[i][4 * j + k];
        T *place = to + (row + i / 4 * kRowStep + i % 4) * Tiles::kPitch + column + j * kColumnStep;
        *reinterpret_cast<Vector<T, 4> *>(place) = four;
      }
  }

private:
  static constexpr int kColumnStep = 4 * 16, kRowStep = 4 * Tiles::kThreads / 16;
  static constexpr int kRowGroups = Tiles::kRows / kRowStep;
  static constexpr int kColumnGroups = Tiles::kColumns / kColumnStep;

  int row, column;
  T sums[4 * kRowGroups][4 * kColumnGroups] = {};
};

/// A warp's sums by the tensor cores. Warps share the tile as two rows of them.
template <typename Tiles> class MmaSums {
public:
  __device__ __forceinline__ MmaSums() {
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    lane = static_cast<int>(threadIdx.x) % kWarp;
    row = warp / kWarpColumns * (16 * kRowTiles);
    column = warp % kWarpColumns * (8 * kColumnTiles);
  }

  template <typename Left, typename Right>
  __device__ __forceinline__ void add(const bfloat16 *a, const bfloat16 *b) {
    // The row of a matrix whose address this lane gives; of four matrices, the second lies 8 further
    // along the rows of a (along the depth of b), the third 8 along the other dimension.
    const int in = lane % 8, second = lane / 8 % 2 * 8, third = lane / 16 * 8;
    const bfloat16 *left = a + Left::place(row + second, third) +
                           in * (Left::kAlongDepth ? Left::kAcrossStep : Left::kDepthStep);
    const bfloat16 *right = b + Right::place(column + third, second) +
                            in * (Right::kAlongDepth ? Right::kAcrossStep : Right::kDepthStep);
#pragma unroll 1
    for (int d = 0; d < Tiles::kDepth; d += 16) {
      // Rows come one fragment ahead; all at once would cost registers, and so would more than 16
      // along the depth: a multiprocessor should have room for a second block.
      Fragment<4> columns[kColumnTiles / 2];
      Fragment<4> rows = loadMatrices<!Left::kAlongDepth>(left + Left::place(0, d));
#pragma unroll
      for (int j = 0; j < kColumnTiles / 2; ++j)
        columns[j] = loadMatrices<!Right::kAlongDepth>(right + Right::place(16 * j, d));
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i) {
        const Fragment<4> now = rows;
        if (i + 1 < kRowTiles)
          rows = loadMatrices<!Left::kAlongDepth>(left + Left::place(16 * (i + 1), d));
#pragma unroll
        for (int j = 0; j < kColumnTiles; ++j) {
          const Fragment<4> &both = columns[j / 2];
          const Fragment<2> one = {both.at[j % 2 * 2], both.at[j % 2 * 2 + 1]};
          multiplyAdd(sums[i][j], now, one);
        }
      }
    }
  }

  __device__ __forceinline__ void store(float *to) const {
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int j = 0; j < kColumnTiles; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float *place = to + (row + 16 * i + 8 * half + lane / 4) * Tiles::kPitch + column +
                         8 * j + lane % 4 * 2;
          const Vector<float, 2> pair = {{sums[i][j][2 * half], sums[i][j][2 * half + 1]}};
          *reinterpret_cast<Vector<float, 2> *>(place) = pair;
        }
  }

private:
  static constexpr int kWarpColumns = Tiles::kWarps / 2;
  static constexpr int kRowTiles = Tiles::kRows / 2 / 16;
  static constexpr int kColumnTiles = Tiles::kColumns / kWarpColumns / 8;

  int lane, row, column;
  float sums[kRowTiles][kColumnTiles][4] = {};
};

template <typename Tiles, typename Element> struct SumsOf {
  using Type = FmaSums<Tiles, Element>;
};
template <typename Tiles> struct SumsOf<Tiles, bfloat16> {
  using Type = MmaSums<Tiles>;
};

/// Shared memory of multiplyTiles.
template <typename Tiles, typename A, typename B> __device__ constexpr int tilesBytes() {
  using Element = typename A::Element;
  using Left = Layout<Element, A::kAlongDepth, Tiles::kRows, Tiles::kDepth>;
  using Right = Layout<Element, B::kAlongDepth, Tiles::kColumns, Tiles::kDepth>;
  constexpr int stages = Tiles::kStages * (Left::kElements + Right::kElements) * sizeof(Element);
  constexpr int sums = Tiles::kRows * Tiles::kPitch * sizeof(typename A::Number);
  return stages > sums ? stages : sums;
}

/// a [a.size, k] * b [k, b.size], at most a tile of it: the element (i, j) at i * Tiles::kPitch + j.
template <typename Tiles, typename A, typename B>
__device__ __forceinline__ const typename A::Number *multiplyTiles(const A &a, const B &b, int k) {
  using Element = typename A::Element;
  TileCopies<A, Tiles::kRows, Tiles::kDepth, Tiles::kThreads> left(a);
  TileCopies<B, Tiles::kColumns, Tiles::kDepth, Tiles::kThreads> right(b);
  using Left = typename decltype(left)::Layout;
  using Right = typename decltype(right)::Layout;
  auto *lefts = reinterpret_cast<Element *>(dynamicShared());
  Element *rights = lefts + Tiles::kStages * Left::kElements;
  typename SumsOf<Tiles, Element>::Type sums;

  const int steps = (k + Tiles::kDepth - 1) / Tiles::kDepth;
  int now = 0, then = 0; // stages
#pragma unroll 1
  for (int step = 1 - Tiles::kStages; step < steps; ++step) {
    if (step >= 0) {
      waitCopies<Tiles::kStages - 2>();
      __syncthreads(); // this step's tiles are there, and nobody reads those of the last step
    }
    const int ahead = step + Tiles::kStages - 1;
    if (ahead < steps) {
      left.start(lefts + then * Left::kElements, k - ahead * Tiles::kDepth);
      right.start(rights + then * Right::kElements, k - ahead * Tiles::kDepth);
    }
    commitCopies(); // also where there is nothing: groups are counted
    if (step >= 0)
      sums.template add<Left, Right>(lefts + now * Left::kElements,
                                     rights + now * Right::kElements);
    if (ahead < steps) {
      left.finish(lefts + then * Left::kElements);
      right.finish(rights + then * Right::kElements);
    }
    then = then + 1 < Tiles::kStages ? then + 1 : 0;
    if (step >= 0)
      now = now + 1 < Tiles::kStages ? now + 1 : 0;
  }
  __syncthreads(); // sums take the place of tiles
  auto *result = reinterpret_cast<typename A::Number *>(dynamicShared());
  sums.store(result);
  __syncthreads();
  return result;
}

// --- a few rows

/// Elements [d, d + N) along the depth of one row or column, zeros from `end` on.
template <int N, typename Operand>
__device__ __forceinline__ Vector<typename Operand::Number, N>
loadAlongDepth(const Operand &x, int across, int d, int end) {
  const typename Operand::Storage *line = x.from + across * x.across;
  Vector<typename Operand::Number, N> result = {};
  if constexpr (N > 1 && Operand::kAlongDepth && Operand::kChunk % N == 0) {
    const auto stored = loadVector<N>(line, d, end);
    for (int i = 0; i < N; ++i)
      result.at[i] = Operand::number(stored.at[i]);
  } else {
    for (int i = 0; i < N; ++i)
      if (d + i < end)
        result.at[i] = Operand::number(line[(d + i) * x.depth]);
  }
  return result;
}

/// Shared memory of multiplyFewRows.
template <int Rows, int Columns, int Pitch, int Threads, typename B>
__device__ constexpr int fewRowsBytes() {
  constexpr int lanes = Columns / B::kChunk;
  constexpr int parts = B::kAlongDepth ? 0 : Threads / (lanes < kWarp ? kWarp : lanes);
  return Rows * (Pitch + parts * Columns) * static_cast<int>(sizeof(typename B::Number));
}

/// a [a.size, k] * b [k, b.size], at most Rows x Columns of it: (i, j) at i * Pitch + j. Every
/// element of b is read once. Where b is contiguous along the depth a warp has four columns at a
/// time and its lanes run along the depth; else lanes run across and share out the depth, and their
/// sums meet at the end. An element's sum does not depend on the number of rows.
template <int Rows, int Columns, int Pitch, int Threads, typename A, typename B>
__device__ __forceinline__ const typename A::Number *multiplyFewRows(const A &a, const B &b,
                                                                     int k) {
  // Fewer rows, fewer sums to keep.
  if constexpr (Rows > 1)
    if (a.size <= Rows / 2)
      return multiplyFewRows<Rows / 2, Columns, Pitch, Threads>(a, b, k);
  using Number = typename A::Number;
  constexpr int kChunk = B::kChunk;
  auto *result = reinterpret_cast<Number *>(dynamicShared());
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  if constexpr (B::kAlongDepth) {
    constexpr int kTogether = Rows > 4 ? 2 : 4; // registers
    for (int first = thread / kWarp * kTogether; first < Columns;
         first += Threads / kWarp * kTogether) {
      if (first >= b.size)
        break; // the whole warp
      Number sums[Rows][kTogether] = {};
      for (int d = lane * kChunk; d < k; d += kWarp * kChunk) {
        Vector<Number, kChunk> right[kTogether];
#pragma unroll
        for (int j = 0; j < kTogether; ++j)
          right[j] = loadAlongDepth<kChunk>(b, minimum(first + j, b.size - 1), d, k);
#pragma unroll
        for (int i = 0; i < Rows; ++i) {
          const auto left = loadAlongDepth<kChunk>(a, minimum(i, a.size - 1), d, k);
#pragma unroll
          for (int j = 0; j < kTogether; ++j)
#pragma unroll
            for (int c = 0; c < kChunk; ++c)
              sums[i][j] = fused(left.at[c], right[j].at[c], sums[i][j]);
        }
      }
#pragma unroll
      for (int i = 0; i < Rows; ++i)
#pragma unroll
        for (int j = 0; j < kTogether; ++j) {
          const Number sum = warpReduce<Sum>(sums[i][j]);
          if (lane == 0)
            result[i * Pitch + first + j] = sum;
        }
    }
  } else {
    constexpr int kLanes = Columns / kChunk, kGroups = Threads / kLanes;
    constexpr int kAtOnce =
        kLanes < kWarp ? kWarp : kLanes; ///< threads whose sums meet by shuffles
    const int column = thread % kLanes * kChunk;
    Number sums[Rows][kChunk] = {};
#pragma unroll(Rows > 4 ? 1 : 4)
    for (int d = thread / kLanes; d < k; d += kGroups) {
      const auto right = loadVector<kChunk>(b.from + d * b.depth, column, b.size);
#pragma unroll
      for (int i = 0; i < Rows; ++i) {
        const Number left = A::number(a.from[minimum(i, a.size - 1) * a.across + d * a.depth]);
#pragma unroll
        for (int c = 0; c < kChunk; ++c)
          sums[i][c] = fused(left, B::number(right.at[c]), sums[i][c]);
      }
    }
    Number *parts = result + Rows * Pitch; // [Threads / kAtOnce][Rows][Columns]
#pragma unroll
    for (int i = 0; i < Rows; ++i)
#pragma unroll
      for (int c = 0; c < kChunk; ++c) {
        for (int offset = kLanes; offset < kWarp; offset *= 2)
          sums[i][c] += __shfl_xor_sync(0xffffffffu, sums[i][c], offset);
        if (thread % kAtOnce < kLanes)
          parts[(thread / kAtOnce * Rows + i) * Columns + column + c] = sums[i][c];
      }
    __syncthreads();
    for (int at = thread; at < Rows * Columns; at += Threads) {
      Number sum = parts[at];
      for (int part = 1; part < Threads / kAtOnce; ++part)
        sum += parts[part * Rows * Columns + at];
      result[at / Columns * Pitch + at % Columns] = sum;
    }
  }
  __syncthreads();
  return result;
}

} // namespace lmc
