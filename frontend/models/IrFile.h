// Models given as functions in the lm dialect.
#pragma once

#include "frontend/models/Programs.h"

namespace lmc {

/// Parses and verifies a .mlir file. It holds @loss (whose first result is a scalar float; @eval is
/// made from it where it is missing) for training and @forward for inference, with arguments marked
/// as buildPrograms marks them. Throws Error with the parser's first message and its place.
mlir::OwningOpRef<mlir::ModuleOp> readIrFile(mlir::MLIRContext &context,
                                             const std::filesystem::path &file,
                                             const ProgramOptions &options);

} // namespace lmc
