// The folder of a run's checkpoints, and the promise about it: whatever happens, also kill -9 and a
// power cut, each `step-00000200` in it is whole, and `latest` names one of them.
//
//   runs/x/step-00000200/  files ... and state.json, which holds size and XXH3 of each of them
//   runs/x/latest          "step-00000400\n"
//   runs/x/.lock           held by the training process
//   runs/x/.tmp-*          what a killed process left; removed at the next start
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lmc {

class CheckpointStore {
public:
  /// Makes the folder, takes its lock and removes leftovers. keep: how many checkpoints save()
  /// leaves, 0 for all. Throws Error, also where another process trains there.
  CheckpointStore(std::filesystem::path directory, int64_t keep);
  ~CheckpointStore();
  CheckpointStore(const CheckpointStore &) = delete;
  CheckpointStore &operator=(const CheckpointStore &) = delete;

  /// The folder that `latest` names; without that file the newest one, none where there is none.
  /// Throws Error where `latest` names nothing that is there.
  std::optional<std::filesystem::path> latest() const;

  /// verifyCheckpoint(), with the advice which older one to take in its errors.
  nlohmann::json open(const std::filesystem::path &checkpoint) const;

  /// Writes the checkpoint of a step: writeFiles puts synced files (AtomicFile) into the folder it
  /// is given; `state` becomes state.json. Then the folder gets its name, `latest` names it, and
  /// older ones beyond `keep` go. A failure throws Error, removes what was begun and leaves the
  /// older ones.
  std::filesystem::path save(int64_t step,
                             const std::function<void(const std::filesystem::path &)> &writeFiles,
                             nlohmann::json state);

private:
  std::filesystem::path folderOf(int64_t step) const;
  std::vector<int64_t> steps() const; ///< of whole checkpoints, ascending
  void discard(const std::filesystem::path &folder) const;
  void prune(int64_t newest) const;

  std::filesystem::path directory;
  int64_t keep;
  int lock = -1;
};

/// Reads state.json and checks size and checksum of each file. Throws Error naming the file.
nlohmann::json verifyCheckpoint(const std::filesystem::path &checkpoint);

} // namespace lmc
