// Where the time of a program goes: seconds of its launches, gathered over layers.
#pragma once

#include "runtime/Session.h"

#include <string>

namespace lmc::bench {

/// Runs the program `rounds` times with a clock at each launch and prints a table, slowest first:
/// launches of one family at one model path with layer numbers left out. Milliseconds are the
/// median over the rounds, operations and bytes what the plan counts.
void printProfile(Session &session, const std::string &program, int rounds);

} // namespace lmc::bench
