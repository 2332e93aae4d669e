// RUN: not lmc-opt %s -lm-infer-shapes=bind=T 2>&1 | FileCheck %s --check-prefix=FORM
// RUN: not lmc-opt %s -lm-infer-shapes=bind=T=0 2>&1 | FileCheck %s --check-prefix=ZERO

// FORM: error: 'T' is not symbol=extent
// ZERO: error: 'T=0' is not symbol=extent
func.func @f(%x: tensor<?xf32, #lm.dims<"T">>) {
  return
}
