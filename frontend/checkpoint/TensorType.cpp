#include "frontend/checkpoint/TensorType.h"

#include "frontend/checkpoint/blocks/Blocks.h"
#include "runtime/Bfloat16.h"
#include "runtime/Half.h"

#include <bit>
#include <cstring>

namespace lmc {
namespace {

static_assert(std::endian::native == std::endian::little, "files are read as they are");

/// Plain elements as blocks of one.
struct Single {
  static constexpr int size = 1;
  float value;
};
struct Half {
  static constexpr int size = 1;
  uint16_t bits;
};
struct Bfloat16 {
  static constexpr int size = 1;
  uint16_t bits;
};
void decode(Single block, float *value) { *value = block.value; }
void decode(Half block, float *value) { *value = halfToFloat(block.bits); }
void decode(Bfloat16 block, float *value) { *value = bfloat16ToFloat(block.bits); }
void encode(const float *value, Single &block) { block.value = *value; }
void encode(const float *value, Half &block) { block.bits = floatToHalf(*value); }
void encode(const float *value, Bfloat16 &block) { block.bits = floatToBfloat16(*value); }

template <typename Block>
void dequantise(const std::byte *blocks, int64_t numBlocks, float *values) {
  for (int64_t i = 0; i < numBlocks; ++i, blocks += sizeof(Block), values += Block::size) {
    Block block;
    std::memcpy(&block, blocks, sizeof(Block));
    decode(block, values);
  }
}

template <typename Block> void quantise(const float *values, int64_t numBlocks, std::byte *blocks) {
  for (int64_t i = 0; i < numBlocks; ++i, blocks += sizeof(Block), values += Block::size) {
    Block block;
    encode(values, block);
    std::memcpy(blocks, &block, sizeof(Block));
  }
}

template <typename Block>
constexpr TensorFormat computed(TensorType type, std::string_view name, int32_t ggufId) {
  return {type,        name,          Block::size == 1,  ggufId,
          Block::size, sizeof(Block), dequantise<Block>, quantise<Block>};
}

/// In safetensors; no arithmetic on it here.
constexpr TensorFormat plain(TensorType type, std::string_view name, int64_t bytes,
                             int32_t ggufId = -1) {
  return {type, name, true, ggufId, 1, bytes};
}

/// Known from GGUF by its size only.
constexpr TensorFormat sized(TensorType type, std::string_view name, int32_t ggufId,
                             int64_t elements, int64_t bytes) {
  return {type, name, false, ggufId, elements, bytes};
}

using enum TensorType;
constexpr TensorFormat formats[] = {
    plain(Bool, "BOOL", 1),
    plain(U8, "U8", 1),
    plain(I8, "I8", 1, 24),
    plain(F8E4M3, "F8_E4M3", 1),
    plain(F8E5M2, "F8_E5M2", 1),
    plain(I16, "I16", 2, 25),
    plain(U16, "U16", 2),
    computed<Half>(F16, "F16", 1),
    computed<Bfloat16>(BF16, "BF16", 30),
    plain(I32, "I32", 4, 26),
    plain(U32, "U32", 4),
    computed<Single>(F32, "F32", 0),
    plain(I64, "I64", 8, 27),
    plain(U64, "U64", 8),
    plain(F64, "F64", 8, 28),
    computed<BlockQ4_0>(Q4_0, "Q4_0", 2),
    computed<BlockQ4_1>(Q4_1, "Q4_1", 3),
    computed<BlockQ5_0>(Q5_0, "Q5_0", 6),
    computed<BlockQ5_1>(Q5_1, "Q5_1", 7),
    computed<BlockQ8_0>(Q8_0, "Q8_0", 8),
    sized(Q8_1, "Q8_1", 9, 32, 40),
    computed<BlockQ2_K>(Q2_K, "Q2_K", 10),
    computed<BlockQ3_K>(Q3_K, "Q3_K", 11),
    computed<BlockQ4_K>(Q4_K, "Q4_K", 12),
    computed<BlockQ5_K>(Q5_K, "Q5_K", 13),
    computed<BlockQ6_K>(Q6_K, "Q6_K", 14),
    sized(Q8_K, "Q8_K", 15, 256, 292),
    sized(IQ2_XXS, "IQ2_XXS", 16, 256, 66),
    sized(IQ2_XS, "IQ2_XS", 17, 256, 74),
    sized(IQ3_XXS, "IQ3_XXS", 18, 256, 98),
    sized(IQ1_S, "IQ1_S", 19, 256, 50),
    computed<BlockIQ4_NL>(IQ4_NL, "IQ4_NL", 20),
    sized(IQ3_S, "IQ3_S", 21, 256, 110),
    sized(IQ2_S, "IQ2_S", 22, 256, 82),
    sized(IQ4_XS, "IQ4_XS", 23, 256, 136),
    sized(IQ1_M, "IQ1_M", 29, 256, 56),
    sized(TQ1_0, "TQ1_0", 34, 256, 54),
    sized(TQ2_0, "TQ2_0", 35, 256, 66),
    computed<BlockMXFP4>(MXFP4, "MXFP4", 39),
};

constexpr bool inOrder() {
  for (size_t i = 0; i < std::size(formats); ++i)
    if (size_t(formats[i].type) != i)
      return false;
  return true;
}
static_assert(inOrder() && std::size(formats) == size_t(MXFP4) + 1);

} // namespace

std::span<const TensorFormat> tensorFormats() { return formats; }

const TensorFormat &formatOf(TensorType type) { return formats[size_t(type)]; }

const TensorFormat *formatOfGgufId(uint32_t id) {
  for (const TensorFormat &format : formats)
    if (format.ggufId >= 0 && uint32_t(format.ggufId) == id)
      return &format;
  return nullptr;
}

std::optional<TensorType> tensorTypeNamed(std::string_view name) {
  for (const TensorFormat &format : formats)
    if (format.inSafetensors && format.name == name)
      return format.type;
  return std::nullopt;
}

} // namespace lmc
