// A device that nothing runs on any more.
#pragma once

#include "runtime/Error.h"

namespace lmc {

/// A kernel failed on a GPU, whose context runs nothing after that: only a new process can go on.
class DeviceLost : public Error {
public:
  using Error::Error;
};

} // namespace lmc
