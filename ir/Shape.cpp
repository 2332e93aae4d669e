#include "ir/Shape.h"

#include "ir/Dialect.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc::lm {

Shape shapeOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  auto names = dyn_cast_or_null<DimsAttr>(tensor.getEncoding());
  Shape shape;
  size_t next = 0;
  for (int64_t size : tensor.getShape()) {
    if (!ShapedType::isDynamic(size))
      shape.push_back(size);
    else if (names && next < names.getNames().size())
      shape.push_back(names.getNames()[next++]);
    else
      shape.push_back(StringAttr::get(type.getContext(), "?"));
  }
  return shape;
}

Type elementOf(Value value) { return cast<RankedTensorType>(value.getType()).getElementType(); }

Type accumulatorOf(Type element) {
  bool half = element.isBF16() || element.isF16();
  return half ? Float32Type::get(element.getContext()) : element;
}

RankedTensorType tensorType(ArrayRef<Dim> shape, Type element) {
  SmallVector<int64_t> sizes;
  SmallVector<StringAttr> names;
  for (const Dim &dim : shape) {
    sizes.push_back(dim.size);
    if (!dim.isStatic())
      names.push_back(dim.symbol);
  }
  Attribute encoding;
  if (!names.empty())
    encoding = DimsAttr::get(element.getContext(), names);
  return RankedTensorType::get(sizes, element, encoding);
}

std::string toString(ArrayRef<Dim> shape) {
  std::string text = "[";
  for (auto [i, dim] : llvm::enumerate(shape)) {
    if (i)
      text += ", ";
    text += dim.isStatic() ? std::to_string(dim.size) : dim.symbol.str();
  }
  return text + "]";
}

std::pair<int64_t, SmallVector<StringAttr>> elementCount(ArrayRef<Dim> shape) {
  int64_t product = 1;
  SmallVector<StringAttr> symbols;
  for (const Dim &dim : shape) {
    if (dim.isStatic())
      product *= dim.size;
    else
      symbols.push_back(dim.symbol);
  }
  llvm::sort(symbols, [](StringAttr a, StringAttr b) { return a.getValue() < b.getValue(); });
  return {product, symbols};
}

int64_t staticSize(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  assert(tensor.hasStaticShape() && "bind symbols first");
  return tensor.getNumElements();
}

} // namespace lmc::lm
