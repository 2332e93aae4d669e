#include "train/JsonLog.h"

#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <unistd.h>
#include <utility>
#include <vector>

namespace lmc {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void failForeign(const fs::path &file, int64_t line) {
  fail("'{}', line {}: not a line of a training log; name another file in log.jsonl, or move this "
       "one away",
       file.string(), line);
}

/// The step of a line of ours.
std::optional<int64_t> stepOf(std::string_view line) {
  nlohmann::json object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object())
    return std::nullopt;
  auto step = object.find("step");
  if (step == object.end() || !step->is_number_integer())
    return std::nullopt;
  return step->get<int64_t>();
}

/// Bytes of the lines up to and with `step`.
uintmax_t lengthUntil(const fs::path &file, int64_t step) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    fail("cannot read '{}': {}", file.string(), std::strerror(errno));
  constexpr std::string_view beginning = "{\"step\":";
  std::vector<char> buffer(4096); // a line of ours has some 200 characters
  uintmax_t length = 0;
  int64_t number = 1;
  for (; in.getline(buffer.data(), static_cast<std::streamsize>(buffer.size())); ++number) {
    std::string_view line(buffer.data());
    bool torn = in.eof(); // the last line has no newline
    if (torn && line.empty())
      return length;
    std::optional<int64_t> at = torn ? std::nullopt : stepOf(line);
    // A torn line is ours only if it is the beginning of one: never cut another program's file.
    if (!at && !(torn && line.starts_with(beginning.substr(0, line.size()))))
      failForeign(file, number);
    if (!at || *at > step)
      return length;
    length += static_cast<uintmax_t>(in.gcount());
  }
  if (!in.eof()) // a line that does not fit
    failForeign(file, number);
  return length;
}

} // namespace

JsonLog::JsonLog(fs::path path) : file(std::move(path)) {
  std::error_code code;
  if (fs::create_directories(file.parent_path(), code); code)
    fail("cannot make the folder '{}': {}", file.parent_path().string(), code.message());
  descriptor = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0)
    fail("cannot write '{}': {}", file.string(), std::strerror(errno));
}

JsonLog::JsonLog(JsonLog &&other) noexcept
    : file(std::move(other.file)), older(std::move(other.older)),
      descriptor(std::exchange(other.descriptor, -1)) {}

JsonLog::~JsonLog() {
  if (descriptor >= 0)
    close(descriptor);
}

JsonLog JsonLog::create(const fs::path &file) {
  fs::path older;
  std::error_code code;
  if (uintmax_t size = fs::file_size(file, code); !code && size > 0) {
    for (int i = 1; older.empty() || fs::exists(older); ++i)
      older = fmt::format("{}.{}", file.string(), i);
    if (fs::rename(file, older, code); code)
      fail("cannot move '{}' away: {}", file.string(), code.message());
  }
  JsonLog log(file);
  log.older = older;
  return log;
}

JsonLog JsonLog::resume(const fs::path &file, int64_t step) {
  std::error_code code;
  if (fs::is_regular_file(file, code)) { // a pipe or a device has nothing to cut
    if (fs::resize_file(file, lengthUntil(file, step), code); code)
      fail("cannot cut '{}' back to step {}: {}", file.string(), step, code.message());
  }
  return JsonLog(file);
}

void JsonLog::append(const std::string &line) {
  std::string_view rest = line;
  while (!rest.empty()) {
    ssize_t written = ::write(descriptor, rest.data(), rest.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      fail("cannot write '{}': {}", file.string(), std::strerror(errno));
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

void JsonLog::write(const StepRecord &r) {
  // As doubles: the shortest text of a float has too few digits for a reader that parses doubles.
  append(fmt::format("{{\"step\":{},\"loss\":{},\"grad_norm\":{},\"lr\":{},\"tokens\":{},"
                     "\"tokens_per_second\":{},\"step_seconds\":{}}}\n",
                     r.step, double{r.loss}, double{r.gradNorm}, double{r.learningRate}, r.tokens,
                     r.tokensPerSecond, r.seconds));
}

void JsonLog::writeEvaluation(int64_t step, float loss) {
  append(fmt::format("{{\"step\":{},\"val_loss\":{}}}\n", step, double{loss}));
}

} // namespace lmc
