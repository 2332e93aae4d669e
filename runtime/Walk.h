// How a team walks a list of launches: no meeting between them, only waiting for what is needed.
#pragma once

#include "runtime/Team.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace lmc {

/// One launch as the walk sees it: independent work items [0, items).
struct WalkLaunch {
  int64_t items = 0;
  int64_t grain = 0;  ///< items taken at once; 0: one even share for each worker
  uint32_t needs = 0; ///< the launches [0, needs) of the list must be complete before it starts
};

/// Every worker goes through the launches in order. A launch is cut into pieces; each worker has
/// its own share of them, so that what it wrote is still in its caches in the next launch, and takes
/// from the others' when it is through. It goes on as soon as no piece is left and does not wait
/// for pieces that others still compute unless the next launch needs them. So a worker that the
/// system has stopped holds up the others by the piece that it holds and no more.
class Walk {
public:
  /// Lists of at most `launches`. Allocates here and nowhere else.
  Walk(Team &team, size_t launches);

  /// Calls compute(worker, launch, begin, end) for all items of all launches; each item once, with
  /// everything visible that the launches before `needs` wrote. `compute` must not throw.
  template <typename Compute> void run(std::span<const WalkLaunch> launches, Compute &&compute) {
    reset(launches);
    team.parallel([&](int worker) {
      for (size_t i = complete(); i < launches.size(); ++i) {
        waitFor(launches[i].needs);
        Piece piece;
        for (int from = 0; from < team.size(); ++from)
          while (take(launches[i], i, (worker + from) % team.size(), piece)) {
            compute(worker, i, piece.begin, piece.end);
            finish(i, launches.size());
          }
      }
    });
  }

private:
  struct Piece {
    int64_t begin, end;
  };
  int64_t pieces(const WalkLaunch &launch) const;
  void reset(std::span<const WalkLaunch> launches);
  size_t complete() const { return done.load(); }
  void waitFor(uint32_t needs);
  /// The next piece of a worker's share of launch `index`.
  bool take(const WalkLaunch &launch, size_t index, int share, Piece &piece);
  void finish(size_t index, size_t launches);

  Team &team;
  std::vector<std::atomic<uint32_t>> taken;  // [launch][worker]: pieces of that worker's share
  std::vector<std::atomic<int64_t>> open;    // [launch]: pieces not finished
  alignas(64) std::atomic<uint32_t> done{0}; // the launches [0, done) are complete
};

} // namespace lmc
