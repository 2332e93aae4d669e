// program REPLAY: runs the launches of a file (Replay.h), of kernels that are linked into it, and writes
// the file anew with what memory holds then. Exit code 3 where the emulation finds a fault. Built with a
// sanitizer, behind the emulation header: every buffer is an allocation of its exact size.
#include "Replay.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

namespace lmc::test {
namespace {

/// What a launch sees of the regions: operands that overlap share one allocation. Not so where races are
/// looked for: threads of a product that lie beyond its edge read its last element and drop it, which in
/// place is an access without order, and no error.
class Buffers {
public:
  Buffers(Replay &replay, const Replay::Launch &launch) : replay(replay) {
    for (const Replay::Operand &operand : launch.operands)
      spans.push_back({operand.region, operand.offset, operand.offset + operand.bytes, nullptr});
#if !defined(LMC_SEES_RACES)
    std::sort(spans.begin(), spans.end(), [](const Span &a, const Span &b) {
      return std::tie(a.region, a.begin) < std::tie(b.region, b.begin);
    });
    size_t last = 0;
    for (size_t i = 1; i < spans.size(); ++i)
      if (spans[i].region == spans[last].region && spans[i].begin < spans[last].end)
        spans[last].end = std::max(spans[last].end, spans[i].end);
      else
        spans[++last] = spans[i];
    spans.resize(spans.empty() ? 0 : last + 1);
#endif
    for (Span &span : spans) {
      span.bytes = static_cast<char *>(std::malloc(span.end - span.begin));
      std::memcpy(span.bytes, region(span) + span.begin, span.end - span.begin);
    }
  }
  ~Buffers() {
    for (Span &span : spans) { // outputs are the last
      std::memcpy(region(span) + span.begin, span.bytes, span.end - span.begin);
      std::free(span.bytes);
    }
  }
  Buffers(const Buffers &) = delete;

  char *at(const Replay::Launch &launch, size_t index) const {
#if defined(LMC_SEES_RACES)
    return spans[index].bytes;
#endif
    const Replay::Operand &operand = launch.operands[index];
    for (const Span &span : spans)
      if (span.region == operand.region && span.begin <= operand.offset &&
          operand.offset + operand.bytes <= span.end)
        return span.bytes + (operand.offset - span.begin);
    std::abort();
  }

private:
  struct Span {
    unsigned region;
    uint64_t begin, end;
    char *bytes;
  };
  char *region(const Span &span) { return replay.regions[span.region].data(); }

  Replay &replay;
  std::vector<Span> spans;
};

/// What went wrong, or null.
const char *run(Replay &replay, const Replay::Launch &launch) {
  using Entry = const char *(*)(unsigned, unsigned, unsigned, unsigned, void **);
  auto entry = reinterpret_cast<Entry>(dlsym(RTLD_DEFAULT, (launch.kernel + "_emulated").c_str()));
  if (!entry)
    return "no such kernel";
  Buffers buffers(replay, launch);
  std::vector<char *> pointers;
  for (size_t i = 0; i < launch.operands.size(); ++i)
    pointers.push_back(buffers.at(launch, i));
  std::vector<int64_t> extents = launch.extents;
  std::vector<emulation::TensorMap> maps(launch.maps.size());
  for (size_t i = 0; i < maps.size(); ++i) {
    const Replay::Map &map = launch.maps[i];
    if (!emulation::encode(maps[i], static_cast<uint32_t>(map.sizes.size()),
                           pointers[map.operand] + map.offset, map.sizes.data(), map.strides.data(),
                           map.box.data()))
      return "a tensor map that the driver would refuse";
  }
  std::vector<void *> parameters;
  if (launch.together)
    parameters.push_back(pointers.data());
  else
    for (char *&pointer : pointers)
      parameters.push_back(&pointer);
  for (int64_t &extent : extents)
    parameters.push_back(&extent);
  for (emulation::TensorMap &map : maps)
    parameters.push_back(&map);
  return entry(launch.grid, launch.block, launch.shared, replay.seed, parameters.data());
}

} // namespace
} // namespace lmc::test

int main(int, char **arguments) {
  lmc::test::Replay replay;
  {
    std::ifstream in(arguments[1], std::ios::binary);
    lmc::test::ReplayReader{in}(replay);
  }
  for (const lmc::test::Replay::Launch &launch : replay.launches)
    if (const char *fault = lmc::test::run(replay, launch)) {
      std::fprintf(stderr, "%s: %s\n", launch.kernel.c_str(), fault);
      return 3;
    }
  std::ofstream out(arguments[1], std::ios::binary);
  lmc::test::ReplayWriter{out}(replay);
  return out.flush() ? 0 : 1;
}
