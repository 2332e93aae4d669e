#include "runtime/Walk.h"

#include <algorithm>
#include <cassert>

namespace lmc {

Walk::Walk(Team &team, size_t launches)
    : team(team), taken(launches * team.size()), open(launches) {}

int64_t Walk::pieces(const WalkLaunch &launch) const {
  int64_t workers = std::min<int64_t>(launch.items, team.size());
  if (launch.grain <= 0)
    return workers;
  return std::max(workers, (launch.items + launch.grain - 1) / launch.grain);
}

void Walk::reset(std::span<const WalkLaunch> launches) {
  assert(launches.size() <= open.size());
  // Nobody else is in a walk now, and starting the job publishes all of it.
  for (size_t i = 0; i < launches.size() * team.size(); ++i)
    taken[i].store(0, std::memory_order_relaxed);
  for (size_t i = 0; i < launches.size(); ++i)
    open[i].store(pieces(launches[i]), std::memory_order_relaxed);
  uint32_t first = 0;
  while (first < launches.size() && launches[first].items == 0)
    ++first;
  done.store(first, std::memory_order_relaxed);
}

void Walk::waitFor(uint32_t needs) {
  for (uint32_t now = done.load(); now < needs; now = done.load())
    team.waitWhile(done, now);
}

bool Walk::take(const WalkLaunch &launch, size_t index, int share, Piece &piece) {
  int64_t count = pieces(launch), workers = team.size();
  int64_t first = count * share / workers, last = count * (share + 1) / workers;
  std::atomic<uint32_t> &next = taken[index * workers + share];
  // Looked at first, so that whoever is through does not count on and on.
  if (next.load(std::memory_order_relaxed) >= last - first)
    return false;
  int64_t mine = first + next.fetch_add(1, std::memory_order_relaxed);
  if (mine >= last)
    return false;
  piece = {launch.items * mine / count, launch.items * (mine + 1) / count};
  return true;
}

void Walk::finish(size_t index, size_t launches) {
  // Sequentially consistent, all of it: of two workers that finish neighbouring launches at the
  // same time one must see the other's.
  if (open[index].fetch_sub(1) > 1)
    return;
  bool moved = false;
  uint32_t now = done.load();
  while (now < launches && open[now].load() == 0)
    if (done.compare_exchange_strong(now, now + 1)) {
      ++now;
      moved = true;
    }
  if (moved)
    done.notify_all(); // a system call only if somebody sleeps
}

} // namespace lmc
