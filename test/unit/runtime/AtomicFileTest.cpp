#include "runtime/AtomicFile.h"

#include "TinyExecutable.h"

#include <gmock/gmock.h>

#include <csignal>
#include <sys/resource.h>

using namespace lmc;
using namespace lmc::test;
using testing::HasSubstr;

TEST(AtomicFile, CommitReplacesAndLeavesNothingElse) {
  Folder folder;
  writeFile(folder / "a", "old");
  AtomicFile file(folder / "a");
  file.write("ne");
  file.write("w");
  EXPECT_EQ(readFile(folder / "a"), "old");
  file.commit();
  EXPECT_EQ(readFile(folder / "a"), "new");
  EXPECT_EQ(folder.numFiles(), 1u);
}

TEST(AtomicFile, WithoutCommitTheOldFileStays) {
  Folder folder;
  writeFile(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new");
    EXPECT_EQ(folder.numFiles(), 2u);
  }
  EXPECT_EQ(readFile(folder / "a"), "old");
  EXPECT_EQ(folder.numFiles(), 1u);
}

// A limit on the size of files fails writes as a full disk does.
TEST(AtomicFile, FullDiskIsAnErrorAndTheOldFileStays) {
  Folder folder;
  writeFile(folder / "a", "old");
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit limit{4096, before.rlim_max};
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::string error = errorOf([&] {
    AtomicFile file(folder / "a");
    file.write(std::string(10000, 'x'));
    file.commit();
  });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(error, "cannot write '" + (folder / "a").string() + "': File too large");
  EXPECT_EQ(readFile(folder / "a"), "old");
  EXPECT_EQ(folder.numFiles(), 1u);
}

TEST(AtomicFile, FollowsLinks) {
  Folder folder;
  writeFile(folder / "real", "old");
  std::filesystem::create_symlink("real", folder / "link");
  AtomicFile file(folder / "link");
  file.write("new");
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(readFile(folder / "real"), "new");
}

TEST(AtomicFile, RefusesWhatIsNoFile) {
  Folder folder;
  EXPECT_THAT(errorOf([&] { AtomicFile file(folder.path); }), HasSubstr("not a regular file"));
  EXPECT_THAT(errorOf([&] { AtomicFile file("/dev/null"); }), HasSubstr("not a regular file"));
  EXPECT_THAT(errorOf([&] { AtomicFile file(folder / "missing/a"); }),
              testing::AllOf(HasSubstr("missing/a"), HasSubstr("No such file or directory")));
  EXPECT_THAT(errorOf([&] { syncFolder(folder / "missing"); }), HasSubstr("No such file"));
}
