// The cases of the kernel families, a list for each group; KernelCheck.h says what is checked.
#pragma once

#include "test/unit/codegen/KernelCheck.h"

#include "ir/Dialect.h"

namespace lmc::test {

using Values = std::vector<mlir::Value>;
using G = lm::GraphBuilder;
using In = llvm::ArrayRef<mlir::Value>;

void addMaps(std::vector<FamilyCase> &cases);
void addRows(std::vector<FamilyCase> &cases);
void addColumns(std::vector<FamilyCase> &cases);
void addProducts(std::vector<FamilyCase> &cases);
void addAttention(std::vector<FamilyCase> &cases);
void addTables(std::vector<FamilyCase> &cases);
void addExperts(std::vector<FamilyCase> &cases);
void addWindows(std::vector<FamilyCase> &cases);

inline lm::Shape likeShape(mlir::Value v) { return lm::shapeOf(v); }

inline mlir::FloatAttr f64(G &g, double value) { return g.b.getF64FloatAttr(value); }

} // namespace lmc::test
