// RUN: lmc-opt %s -split-input-file -verify-diagnostics

// expected-error@+1 {{#lm.dims names 2 dimensions of a type with 1 symbolic ones}}
func.func private @refused(tensor<3x?xf32, #lm.dims<"T", "S">>)
