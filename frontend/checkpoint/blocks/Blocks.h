// One block of each format to f32 and back. decode is exact to the bit of the `gguf` Python package;
// encode is where that package encodes too, the super-blocks search their scales (ScaleSearch.h).
// values has Block::size elements; encode needs finite ones of magnitude <= 65504.
#pragma once

#include "runtime/BlockLayouts.h"

namespace lmc {

// SmallBlocks.cpp
void decode(const BlockQ4_0 &block, float *values);
void decode(const BlockQ4_1 &block, float *values);
void decode(const BlockQ5_0 &block, float *values);
void decode(const BlockQ5_1 &block, float *values);
void decode(const BlockQ8_0 &block, float *values);
void encode(const float *values, BlockQ4_0 &block);
void encode(const float *values, BlockQ4_1 &block);
void encode(const float *values, BlockQ5_0 &block);
void encode(const float *values, BlockQ5_1 &block);
void encode(const float *values, BlockQ8_0 &block);

// LookupBlocks.cpp
void decode(const BlockIQ4_NL &block, float *values);
void decode(const BlockMXFP4 &block, float *values);
void encode(const float *values, BlockIQ4_NL &block);
void encode(const float *values, BlockMXFP4 &block);

// SuperBlocks.cpp; encode in EncodeSuperBlocks.cpp
void decode(const BlockQ2_K &block, float *values);
void decode(const BlockQ3_K &block, float *values);
void decode(const BlockQ4_K &block, float *values);
void decode(const BlockQ5_K &block, float *values);
void decode(const BlockQ6_K &block, float *values);
void encode(const float *values, BlockQ2_K &block);
void encode(const float *values, BlockQ3_K &block);
void encode(const float *values, BlockQ4_K &block);
void encode(const float *values, BlockQ5_K &block);
void encode(const float *values, BlockQ6_K &block);

} // namespace lmc
