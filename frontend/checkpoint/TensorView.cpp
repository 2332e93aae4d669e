#include "frontend/checkpoint/TensorView.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

namespace lmc {

namespace {
struct TypeFacts {
  TensorType type;
  std::string_view name;
  size_t size;
};
} // namespace

static constexpr std::array<TypeFacts, 15> types{{
    {TensorType::Bool, "BOOL", 1},
    {TensorType::U8, "U8", 1},
    {TensorType::I8, "I8", 1},
    {TensorType::F8E4M3, "F8_E4M3", 1},
    {TensorType::F8E5M2, "F8_E5M2", 1},
    {TensorType::I16, "I16", 2},
    {TensorType::U16, "U16", 2},
    {TensorType::F16, "F16", 2},
    {TensorType::BF16, "BF16", 2},
    {TensorType::I32, "I32", 4},
    {TensorType::U32, "U32", 4},
    {TensorType::F32, "F32", 4},
    {TensorType::I64, "I64", 8},
    {TensorType::U64, "U64", 8},
    {TensorType::F64, "F64", 8},
}};

size_t sizeBytes(TensorType type) { return types[size_t(type)].size; }
std::string_view nameOf(TensorType type) { return types[size_t(type)].name; }

std::optional<TensorType> tensorTypeNamed(std::string_view name) {
  for (const TypeFacts &facts : types)
    if (facts.name == name)
      return facts.type;
  return std::nullopt;
}

int64_t TensorView::numElements() const { return int64_t(bytes.size() / sizeBytes(type)); }

std::string shapeText(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

} // namespace lmc
