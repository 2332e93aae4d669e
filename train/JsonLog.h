// The JSONL log: one object a line, each written whole and at once, so that a killed run leaves at
// most one torn last line.
#pragma once

#include "train/StepRecord.h"

#include <filesystem>
#include <string>

namespace lmc {

/// Lines of a step: {"step","loss","grad_norm","lr","tokens","tokens_per_second","step_seconds"}
/// and of an evaluation:   {"step","val_loss"}
/// Numbers have the digits that give the same bits when read again. Throws Error naming the file.
class JsonLog {
public:
  /// A new log. A file that is there already is renamed to the first free of "<file>.1", ".2", ...
  static JsonLog create(const std::filesystem::path &file);

  /// Goes on with the log of a run resumed after `step`: what it says of later steps is cut off,
  /// with a torn last line. Throws Error for a file that is not such a log, and leaves it alone.
  static JsonLog resume(const std::filesystem::path &file, int64_t step);

  JsonLog(JsonLog &&other) noexcept;
  ~JsonLog();

  void write(const StepRecord &record);
  void writeEvaluation(int64_t step, float loss);

  /// What an older log was renamed to; empty where there was none.
  const std::filesystem::path &olderLog() const { return older; }

private:
  explicit JsonLog(std::filesystem::path file);
  void append(const std::string &line);

  std::filesystem::path file, older;
  int descriptor = -1;
};

} // namespace lmc
