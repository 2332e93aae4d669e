// Element types of tensors in files, plain and block-quantised: one table says all about them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace lmc {

/// Named as safetensors ("BF16") and GGUF ("Q4_K") call them.
enum class TensorType {
  Bool,
  U8,
  I8,
  F8E4M3,
  F8E5M2,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  I64,
  U64,
  F64,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q8_1,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  Q8_K,
  IQ2_XXS,
  IQ2_XS,
  IQ3_XXS,
  IQ1_S,
  IQ4_NL,
  IQ3_S,
  IQ2_S,
  IQ4_XS,
  IQ1_M,
  TQ1_0,
  TQ2_0,
  MXFP4,
};

struct TensorFormat {
  /// Blocks to f32, exactly what they stand for; and f32 to the nearest blocks (Blocks.h). Neither
  /// side need be aligned as more than bytes and floats are.
  using Dequantise = void (*)(const std::byte *blocks, int64_t numBlocks, float *values);
  using Quantise = void (*)(const float *values, int64_t numBlocks, std::byte *blocks);

  TensorType type;
  std::string_view name;
  bool inSafetensors;
  int32_t ggufId; ///< ggml_type in GGUF files; -1: has none
  /// A row is whole blocks of so many consecutive elements, each so many bytes; 1 for plain types.
  int64_t blockElements, blockBytes;
  Dequantise dequantise = nullptr; ///< null: known by size only
  Quantise quantise = nullptr;     ///< null: never written from f32

  bool isQuantised() const { return blockElements > 1; }
};

/// All of them, in the order of TensorType.
std::span<const TensorFormat> tensorFormats();
const TensorFormat &formatOf(TensorType type);
/// Null for an unknown ggml_type.
const TensorFormat *formatOfGgufId(uint32_t id);

/// Bytes of one block; of one element of a plain type.
inline size_t sizeBytes(TensorType type) { return size_t(formatOf(type).blockBytes); }
inline std::string_view nameOf(TensorType type) { return formatOf(type).name; }
/// By the name in safetensors files.
std::optional<TensorType> tensorTypeNamed(std::string_view name);

} // namespace lmc
