#include "train/Progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sys/ioctl.h>
#include <unistd.h>

namespace lmc {

ProgressOutput ProgressOutput::of(std::ostream &out, int descriptor) {
  return {&out, isatty(descriptor) == 1, [descriptor] {
            winsize size{};
            bool known = ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
            return known ? static_cast<int>(size.ws_col) : 80;
          }};
}

std::string shortNumber(double value) {
  struct Unit {
    double scale;
    const char *name;
  };
  for (auto [scale, name] : {Unit{1e12, "T"}, Unit{1e9, "G"}, Unit{1e6, "M"}, Unit{1e3, "k"}})
    if (value >= 0.9995 * scale)
      return value < 9.995 * scale ? fmt::format("{:.2f}{}", value / scale, name)
                                   : fmt::format("{:.1f}{}", value / scale, name);
  return fmt::format("{:.0f}", value);
}

std::string shortDuration(double seconds) {
  if (!(seconds < 3.6e8)) // also NaN
    return "--";
  auto total = static_cast<int64_t>(std::max(0.0, std::round(seconds)));
  if (total < 60)
    return fmt::format("{}s", total);
  if (total < 3600)
    return fmt::format("{}m{:02}s", total / 60, total % 60);
  return fmt::format("{}h{:02}m", total / 3600, total % 3600 / 60);
}

Progress::Progress(ProgressOutput out, int64_t totalSteps)
    : output(std::move(out)), steps(totalSteps) {}

Progress::~Progress() {
  if (drawn)
    *output.out << "\n" << std::flush;
}

void Progress::step(const StepRecord &record, double now) {
  if (!output.out)
    return;
  smoothSeconds = any ? 0.9 * smoothSeconds + 0.1 * record.seconds : record.seconds;
  bool last = record.step == steps;
  bool due = !any || last || now - lastDrawn >= (output.terminal ? 0.1 : 5.0);
  any = true;
  if (!due)
    return;
  lastDrawn = now;
  if (output.terminal) {
    // Erase to the end of the line: the line before may have been longer.
    *output.out << "\r" << bar(record, output.columns()) << "\x1b[K" << std::flush;
    drawn = true;
    return;
  }
  *output.out << fmt::format("step {}/{}  loss {:.4f}  grad_norm {:.4g}  lr {:.3g}  {} tokens/s  "
                             "ETA {}\n",
                             record.step, steps, record.loss, record.gradNorm, record.learningRate,
                             shortNumber(record.tokensPerSecond), timeLeft(record))
              << std::flush;
}

std::string Progress::timeLeft(const StepRecord &record) const {
  return shortDuration(smoothSeconds * static_cast<double>(steps - record.step));
}

std::string Progress::bar(const StepRecord &record, int columns) const {
  std::string total = fmt::format("{}", steps);
  std::string head = fmt::format("{:>{}}/{} ", record.step, total.size(), total);
  std::string tail = fmt::format(" loss {:.4f}  {} tokens/s  ETA {}", record.loss,
                                 shortNumber(record.tokensPerSecond), timeLeft(record));
  // The last column stays free: some terminals wrap when it is written.
  auto room = static_cast<size_t>(std::max(columns - 1, 0));
  std::string text = head + tail.substr(1);
  if (size_t used = head.size() + tail.size() + 2; used + 5 <= room) {
    size_t width = std::min<size_t>(room - used, 40);
    auto full = static_cast<size_t>(static_cast<double>(width) * (static_cast<double>(record.step) /
                                                                  static_cast<double>(steps)));
    text = head + "[" + std::string(std::min(full, width), '#') +
           std::string(width - std::min(full, width), '.') + "]" + tail;
  }
  return text.substr(0, room);
}

void Progress::erase() {
  if (drawn)
    *output.out << "\r\x1b[K";
  drawn = false;
}

void Progress::line(std::string_view text) {
  if (!output.out)
    return;
  erase();
  *output.out << text << "\n" << std::flush;
}

} // namespace lmc
