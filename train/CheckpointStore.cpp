#include "train/CheckpointStore.h"

#include "runtime/AtomicFile.h"
#include "runtime/Error.h"

#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <sys/file.h>
#include <unistd.h>

namespace lmc {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view prefix = "step-";
constexpr std::string_view leftover = ".tmp-";
constexpr const char *stateFile = "state.json";
constexpr uintmax_t maxStateBytes = 256 << 20;

std::string hex(XXH64_hash_t hash) { return fmt::format("{:016x}", hash); }

struct Fingerprint {
  uint64_t bytes = 0;
  std::string xxh3;
};

Fingerprint fingerprint(const fs::path &file) {
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                 XXH3_freeState);
  if (!state)
    throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  std::ifstream in(file, std::ios::binary);
  if (!in)
    fail("cannot read '{}': {}", file.string(), std::strerror(errno));
  std::vector<char> buffer(1 << 20);
  Fingerprint result;
  while (in) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    auto count = static_cast<size_t>(in.gcount());
    XXH3_64bits_update(state.get(), buffer.data(), count);
    result.bytes += count;
  }
  if (in.bad())
    fail("cannot read '{}': {}", file.string(), std::strerror(errno));
  result.xxh3 = hex(XXH3_64bits_digest(state.get()));
  return result;
}

/// One text for one content; a path that is not UTF-8 must not end a training run.
std::string textOf(const json &state, int indent) {
  return state.dump(indent, ' ', false, json::error_handler_t::replace);
}

/// Of state.json itself: of its content without this field.
std::string hashOf(json state) {
  state.erase("xxh3");
  std::string text = textOf(state, -1);
  return hex(XXH3_64bits(text.data(), text.size()));
}

/// The number in "step-00000200"; none for any other name.
std::optional<int64_t> stepOf(std::string_view name) {
  if (!name.starts_with(prefix))
    return std::nullopt;
  name.remove_prefix(prefix.size());
  int64_t step = 0;
  auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (name.size() < 8 || code != std::errc() || end != name.data() + name.size() || step < 0)
    return std::nullopt;
  return step;
}

bool isPlainName(const std::string &name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

} // namespace

json verifyCheckpoint(const fs::path &checkpoint) {
  fs::path file = checkpoint / stateFile;
  auto damaged = [&](std::string_view why) { fail("'{}' is damaged: {}", file.string(), why); };
  std::error_code code;
  if (!fs::is_directory(checkpoint, code))
    fail("'{}' is not a checkpoint folder", checkpoint.string());
  uintmax_t size = fs::file_size(file, code);
  if (code)
    fail("'{}' is missing from the checkpoint", file.string());
  if (size > maxStateBytes)
    damaged("it is far too large");
  std::ifstream in(file, std::ios::binary);
  // dump() recurses: what nests deeper than ours is dropped, and then the checksum differs.
  auto shallow = [](int depth, json::parse_event_t, json &) { return depth <= 8; };
  json state = json::parse(in, shallow, /*allow_exceptions=*/false);
  if (!state.is_object())
    damaged("not JSON");
  auto own = state.find("xxh3");
  if (own == state.end() || *own != hashOf(state))
    damaged("its checksum does not match");
  // Who can write the checksum can write anything, so the types are checked all the same.
  auto files = state.find("files");
  if (files == state.end() || !files->is_object())
    damaged("it lists no files");
  for (const auto &[name, entry] : files->items()) {
    if (!isPlainName(name) || !entry.is_object() || !entry.contains("bytes") ||
        !entry["bytes"].is_number_unsigned() || !entry.contains("xxh3"))
      damaged("its list of files is not one");
    fs::path listed = checkpoint / name;
    uintmax_t bytes = fs::file_size(listed, code);
    if (code)
      fail("'{}' is missing from the checkpoint", listed.string());
    if (bytes != entry["bytes"].get<uint64_t>())
      fail("'{}' is damaged: it has {} bytes, {} were written", listed.string(), bytes,
           entry["bytes"].get<uint64_t>());
    if (entry["xxh3"] != fingerprint(listed).xxh3)
      fail("'{}' is damaged: its checksum does not match", listed.string());
  }
  return state;
}

CheckpointStore::CheckpointStore(fs::path folder, int64_t count)
    : directory(std::move(folder)), keep(count) {
  std::error_code code;
  if (fs::create_directories(directory, code); code)
    fail("cannot make the checkpoint folder '{}': {}", directory.string(), code.message());
  fs::path lockFile = directory / ".lock";
  lock = ::open(lockFile.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock < 0)
    fail("cannot write to the checkpoint folder '{}': {}", directory.string(),
         std::strerror(errno));
  // The kernel frees the lock when its process ends, however it ends.
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    int reason = errno;
    close(lock);
    if (reason == EWOULDBLOCK)
      fail("another process trains in '{}'; stop it, or choose another checkpoint.dir",
           directory.string());
    fail("cannot lock '{}': {}", lockFile.string(), std::strerror(reason));
  }
  for (const fs::directory_entry &entry : fs::directory_iterator(directory, code))
    if (std::string name = entry.path().filename().string();
        name.starts_with(leftover) || name.starts_with("latest.tmp."))
      fs::remove_all(entry.path(), code);
}

CheckpointStore::~CheckpointStore() { close(lock); }

fs::path CheckpointStore::folderOf(int64_t step) const {
  return directory / fmt::format("{}{:08}", prefix, step);
}

std::vector<int64_t> CheckpointStore::steps() const {
  std::vector<int64_t> found;
  std::error_code code;
  for (const fs::directory_entry &entry : fs::directory_iterator(directory, code))
    if (auto step = stepOf(entry.path().filename().string()); step && entry.is_directory(code))
      found.push_back(*step);
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<fs::path> CheckpointStore::latest() const {
  std::vector<int64_t> found = steps();
  fs::path pointer = directory / "latest";
  std::ifstream in(pointer);
  if (!in) // killed before the first one was named
    return found.empty() ? std::nullopt : std::optional(folderOf(found.back()));
  std::string name;
  in >> name;
  std::optional<int64_t> step = stepOf(name);
  if (!step || !std::binary_search(found.begin(), found.end(), *step)) {
    std::string there = found.empty() ? "there is none"
                                      : fmt::format("the newest there is {}",
                                                    folderOf(found.back()).filename().string());
    fail("'{}' names no checkpoint in its folder ('{}'); {}: write the name of one into the file",
         pointer.string(), name.substr(0, 60), there);
  }
  return folderOf(*step);
}

json CheckpointStore::open(const fs::path &checkpoint) const {
  try {
    return verifyCheckpoint(checkpoint);
  } catch (const Error &error) {
    // Never an older one in silence: a person may prefer to restore the file.
    std::vector<int64_t> found = steps();
    std::optional<int64_t> step = stepOf(checkpoint.filename().string());
    auto older = std::lower_bound(found.begin(), found.end(), step.value_or(0));
    if (older == found.begin())
      fail("{}; there is no older checkpoint: restore the file, or begin again in another "
           "checkpoint.dir",
           error.what());
    std::string name = folderOf(*--older).filename().string();
    fail("{}; restore the file, or write '{}' into '{}' to go on from the checkpoint before",
         error.what(), name, (directory / "latest").string());
  }
}

void CheckpointStore::discard(const fs::path &folder) const {
  // Under a temporary name first: a kill in the middle must not leave half a checkpoint.
  fs::path gone = directory / (std::string(leftover) + "old-" + folder.filename().string());
  std::error_code code;
  fs::remove_all(gone, code);
  if (fs::rename(folder, gone, code); code)
    fail("cannot remove the old checkpoint '{}': {}", folder.string(), code.message());
  fs::remove_all(gone, code); // what stays is removed at the next start
}

void CheckpointStore::prune(int64_t newest) const {
  if (keep == 0)
    return;
  std::vector<int64_t> found = steps();
  // Newer ones are there after a person went back to an older one; training will replace them.
  std::erase_if(found, [&](int64_t step) { return step > newest; });
  for (size_t i = 0; i + static_cast<size_t>(keep) < found.size(); ++i)
    discard(folderOf(found[i]));
}

fs::path CheckpointStore::save(int64_t step,
                               const std::function<void(const fs::path &)> &writeFiles,
                               json state) {
  fs::path target = folderOf(step);
  fs::path temporary = directory / (std::string(leftover) + target.filename().string());
  std::error_code code;
  try {
    fs::remove_all(temporary, code);
    if (fs::create_directory(temporary, code); code)
      fail("cannot make '{}': {}", temporary.string(), code.message());
    writeFiles(temporary);
    json files = json::object();
    for (const fs::directory_entry &entry : fs::directory_iterator(temporary)) {
      Fingerprint print = fingerprint(entry.path());
      files[entry.path().filename().string()] = {{"bytes", print.bytes}, {"xxh3", print.xxh3}};
    }
    state["files"] = std::move(files);
    state["xxh3"] = hashOf(state);
    AtomicFile file(temporary / stateFile);
    file.write(textOf(state, 1) + "\n");
    file.commit();          // also syncs the names in the folder
    if (fs::exists(target)) // of a run that was killed before `latest` named it, or was rolled back
      discard(target);
    fs::rename(temporary, target);
    syncFolder(directory);
  } catch (const Error &error) {
    fs::remove_all(temporary, code);
    fail("checkpoint of step {} failed, the older ones are as they were: {}", step, error.what());
  } catch (const fs::filesystem_error &error) {
    fs::remove_all(temporary, code);
    fail("checkpoint of step {} failed, the older ones are as they were: {}", step, error.what());
  }
  AtomicFile pointer(directory / "latest");
  pointer.write(target.filename().string() + "\n");
  pointer.commit();
  prune(step);
  return target;
}

} // namespace lmc
