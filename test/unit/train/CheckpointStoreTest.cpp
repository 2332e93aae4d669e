#include "train/CheckpointStore.h"

#include "runtime/AtomicFile.h"
#include "runtime/Error.h"
#include "test/unit/train/TempFolder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <csignal>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lmc {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::readFile;
using test::TempFolder;
using testing::HasSubstr;

void put(const fs::path &file, const std::string &text) {
  AtomicFile out(file);
  out.write(text);
  out.commit();
}

/// Two files whose content tells the step.
fs::path save(CheckpointStore &store, int64_t step, size_t bytes = 100) {
  return store.save(step,
                    [&](const fs::path &folder) {
                      put(folder / "a.bin", std::string(bytes, static_cast<char>('a' + step % 26)));
                      put(folder / "b.txt", "step " + std::to_string(step));
                    },
                    {{"step", step}});
}

std::string errorOf(const std::function<void()> &action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

std::vector<std::string> namesIn(const fs::path &folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(CheckpointStore, SavesFindsAndKeepsTheNewest) {
  TempFolder folder;
  {
    CheckpointStore store(folder / "runs/x", 2);
    EXPECT_EQ(store.latest(), std::nullopt);
    for (int64_t step : {1, 2, 100000000})
      save(store, step);
    EXPECT_EQ(store.latest(), folder / "runs/x/step-100000000");
  }
  EXPECT_EQ(namesIn(folder / "runs/x"),
            (std::vector<std::string>{".lock", "latest", "step-00000002", "step-100000000"}));
  EXPECT_EQ(readFile(folder / "runs/x/latest"), "step-100000000\n");

  CheckpointStore again(folder / "runs/x", 0);
  json state = again.open(*again.latest());
  EXPECT_EQ(state["step"], 100000000);
  EXPECT_EQ(state["files"]["a.bin"]["bytes"], 100);
  EXPECT_EQ(state["files"].size(), 2u);
  save(again, 200000000);
  save(again, 300000000);
  EXPECT_EQ(namesIn(folder / "runs/x").size(), 6u) << "keep 0 keeps all";
}

TEST(CheckpointStore, OneProcessAtATime) {
  TempFolder folder;
  CheckpointStore store(folder.root, 1);
  EXPECT_THAT(errorOf([&] { CheckpointStore(folder.root, 1); }),
              HasSubstr("another process trains in"));
}

TEST(CheckpointStore, WhatAKilledProcessLeftIsRemovedOrReplaced) {
  TempFolder folder;
  {
    CheckpointStore store(folder.root, 5);
    save(store, 2);
    save(store, 4);
  }
  // Killed between rename and pointer: step 4 is whole, `latest` still names step 2.
  folder.write("latest", "step-00000002\n");
  folder.write(".tmp-step-00000006/a.bin", "half");
  folder.write(".tmp-old-step-00000001/a.bin", "half");
  folder.write("latest.tmp.123.0", "step");
  CheckpointStore store(folder.root, 5);
  EXPECT_EQ(store.latest(), folder / "step-00000002");
  save(store, 4, 50);
  EXPECT_EQ(store.latest(), folder / "step-00000004");
  EXPECT_EQ(fs::file_size(folder / "step-00000004/a.bin"), 50u);
  EXPECT_EQ(namesIn(folder.root),
            (std::vector<std::string>{".lock", "latest", "step-00000002", "step-00000004"}));
  // Killed before the first pointer was written.
  fs::remove(folder / "latest");
  EXPECT_EQ(store.latest(), folder / "step-00000004");
}

TEST(CheckpointStore, APointerToNothingIsAnError) {
  TempFolder folder;
  CheckpointStore store(folder.root, 5);
  save(store, 2);
  for (const std::string &text : {"step-00000009\n", "", "../../etc\n", "step-2\n", "step-\n"}) {
    folder.write("latest", text);
    EXPECT_THAT(errorOf([&] { store.latest(); }),
                HasSubstr("the newest there is step-00000002: write the name of one into the file"))
        << text;
  }
}

TEST(CheckpointStore, EveryDamageIsFoundAndNamed) {
  struct Case {
    const char *name;
    std::function<void(const fs::path &)> damage;
    std::string error;
  };
  auto flip = [](const fs::path &file, size_t byte, int bit) {
    std::string text = readFile(file);
    ASSERT_LT(byte, text.size());
    text[byte] = static_cast<char>(text[byte] ^ (1 << bit));
    std::ofstream(file, std::ios::binary) << text;
  };
  const std::vector<Case> cases = {
      {"truncated", [](const fs::path &c) { fs::resize_file(c / "a.bin", 99); },
       "step-00000004/a.bin' is damaged: it has 99 bytes, 100 were written"},
      {"emptied", [](const fs::path &c) { fs::resize_file(c / "b.txt", 0); },
       "step-00000004/b.txt' is damaged: it has 0 bytes, 6 were written"},
      {"longer", [](const fs::path &c) { fs::resize_file(c / "b.txt", 7); },
       "step-00000004/b.txt' is damaged: it has 7 bytes, 6 were written"},
      {"bit flip", [&](const fs::path &c) { flip(c / "a.bin", 57, 3); },
       "step-00000004/a.bin' is damaged: its checksum does not match"},
      {"bit flip, last", [&](const fs::path &c) { flip(c / "b.txt", 5, 0); },
       "step-00000004/b.txt' is damaged: its checksum does not match"},
      {"missing", [](const fs::path &c) { fs::remove(c / "a.bin"); },
       "step-00000004/a.bin' is missing from the checkpoint"},
      {"no state", [](const fs::path &c) { fs::remove(c / "state.json"); },
       "step-00000004/state.json' is missing from the checkpoint"},
      {"state emptied", [](const fs::path &c) { fs::resize_file(c / "state.json", 0); },
       "step-00000004/state.json' is damaged: not JSON"},
      {"state not ours", [](const fs::path &c) { std::ofstream(c / "state.json") << "{}"; },
       "step-00000004/state.json' is damaged: its checksum does not match"},
      {"state nested",
       [](const fs::path &c) {
         std::ofstream(c / "state.json") << std::string(1000000, '[') + std::string(1000000, ']');
       },
       "step-00000004/state.json' is damaged: not JSON"},
      {"state nested in an object",
       [](const fs::path &c) {
         std::string deep;
         for (int i = 0; i < 200000; ++i)
           deep += "{\"a\":";
         std::ofstream(c / "state.json") << deep + "1" + std::string(200000, '}');
       },
       "step-00000004/state.json' is damaged: its checksum does not match"},
  };
  for (const Case &c : cases) {
    TempFolder folder;
    CheckpointStore store(folder.root, 5);
    save(store, 2);
    fs::path newest = save(store, 4);
    EXPECT_EQ(errorOf([&] { store.open(newest); }), "no error");
    c.damage(newest);
    std::string error = errorOf([&] { store.open(*store.latest()); });
    EXPECT_THAT(error, HasSubstr(c.error)) << c.name;
    EXPECT_THAT(error, HasSubstr("restore the file, or write 'step-00000002' into")) << c.name;
    // What the error says to do helps.
    folder.write("latest", "step-00000002\n");
    EXPECT_EQ(store.open(*store.latest())["step"], 2) << c.name;
  }
}

// Single flipped bits of state.json that change what it says, all over the file.
TEST(CheckpointStore, BitsOfTheStateCount) {
  TempFolder folder;
  CheckpointStore store(folder.root, 5);
  fs::path checkpoint = save(store, 4), file = checkpoint / "state.json";
  const std::string good = readFile(file);
  const json content = json::parse(good);
  for (size_t bit = 0; bit < good.size() * 8; bit += 11) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    if (json::parse(bad, nullptr, false) == content) // white space into other white space
      continue;
    std::ofstream(file, std::ios::binary) << bad;
    EXPECT_THAT(errorOf([&] { store.open(checkpoint); }), HasSubstr("state.json' is damaged"))
        << bit;
  }
}

TEST(CheckpointStore, WithoutAnOlderOneTheErrorSaysSo) {
  TempFolder folder;
  CheckpointStore store(folder.root, 5);
  fs::path only = save(store, 4);
  fs::resize_file(only / "a.bin", 1);
  EXPECT_THAT(errorOf([&] { store.open(only); }),
              HasSubstr("there is no older checkpoint: restore the file, or begin again"));
}

// With a right checksum, as only an attacker writes it.
TEST(CheckpointStore, AStateThatNamesFilesElsewhereIsRefused) {
  TempFolder folder;
  CheckpointStore store(folder.root, 5);
  fs::path checkpoint = save(store, 4);
  for (std::string name : {"../a.bin", "/etc/passwd", "..", ""}) {
    json state = json::parse(readFile(checkpoint / "state.json"));
    state.erase("xxh3");
    state["files"] = {{name, {{"bytes", 1}, {"xxh3", "0"}}}};
    std::string text = state.dump();
    state["xxh3"] = fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
    std::ofstream(checkpoint / "state.json") << state.dump();
    EXPECT_THAT(errorOf([&] { verifyCheckpoint(checkpoint); }),
                HasSubstr("state.json' is damaged: its list of files is not one"));
  }
}

/// Runs an action in a child process, so that its limits stay there; 0 is success.
int inChild(const std::function<int()> &action) {
  pid_t child = fork();
  if (child == 0)
    _exit(action());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/// A failed save leaves the older checkpoint, the pointer and nothing else.
int failedSaveLeavesTheOlderOne(const fs::path &root, const std::string &reason) {
  CheckpointStore store(root, 1);
  std::string error = errorOf([&] { save(store, 4, 10 << 20); });
  if (error.find("checkpoint of step 4 failed, the older ones are as they were") ==
          std::string::npos ||
      error.find(reason) == std::string::npos) {
    fprintf(stderr, "error is: %s\n", error.c_str());
    return 1;
  }
  if (store.latest() != root / "step-00000002" || store.open(*store.latest())["step"] != 2)
    return 2;
  if (namesIn(root) != std::vector<std::string>{".lock", "latest", "step-00000002"})
    return 3;
  save(store, 6); // and a smaller one works again
  return store.open(*store.latest())["step"] == 6 ? 0 : 4;
}

TEST(CheckpointStore, AFileTooLargeLeavesTheOlderOne) {
  TempFolder folder;
  save(*std::make_unique<CheckpointStore>(folder.root, 1), 2);
  EXPECT_EQ(0, inChild([&] {
              signal(SIGXFSZ, SIG_IGN);
              rlimit limit{1 << 20, 1 << 20};
              setrlimit(RLIMIT_FSIZE, &limit);
              return failedSaveLeavesTheOlderOne(folder.root, "File too large");
            }));
}

TEST(CheckpointStore, AFullDiskLeavesTheOlderOne) {
  TempFolder folder;
  if (mount("tmpfs", folder.root.c_str(), "tmpfs", 0, "size=2m") != 0)
    GTEST_SKIP() << "mounting a small tmpfs needs root";
  save(*std::make_unique<CheckpointStore>(folder.root, 1), 2);
  EXPECT_EQ(0, inChild([&] {
              return failedSaveLeavesTheOlderOne(folder.root, "No space left on device");
            }));
  umount(folder.root.c_str());
}

TEST(CheckpointStore, AFolderThatCannotBeMadeIsAnError) {
  TempFolder folder;
  folder.write("file", "x");
  EXPECT_THAT(errorOf([&] { CheckpointStore(folder / "file/x", 1); }),
              HasSubstr("cannot make the checkpoint folder"));
}

} // namespace
} // namespace lmc
