#include "runtime/Executable.h"

#include "runtime/Error.h"
#include "runtime/Philox.h"
#include "runtime/Session.h"

#include "TinyExecutable.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <xxhash.h>

#include <cstring>

using namespace lmc;
using namespace lmc::test;
using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

constexpr size_t kPrefix = 16, kPage = 4096;

uint64_t headerLength(const std::string &bytes) {
  uint64_t length;
  std::memcpy(&length, bytes.data() + 8, sizeof length);
  return length;
}

/// A file by the format's description, independent of Executable::save.
std::string fileOf(const std::string &header, std::span<const std::byte> data) {
  uint64_t length = header.size(), sum = XXH3_64bits(header.data(), header.size());
  std::string bytes("LMX\0\1\0\0\0", 8);
  bytes.append(reinterpret_cast<const char *>(&length), 8).append(header);
  bytes.append(reinterpret_cast<const char *>(&sum), 8);
  bytes.resize((bytes.size() + kPage - 1) / kPage * kPage);
  return bytes.append(reinterpret_cast<const char *>(data.data()), data.size());
}

class ExecutableFile : public testing::Test {
protected:
  ExecutableFile() {
    tinyExecutable()->save(file);
    bytes = readFile(file);
  }

  std::string loadError(const std::string &changed) {
    writeFile(file, changed);
    return errorOf([&] { Executable::load(file); });
  }

  Folder folder;
  std::filesystem::path file = folder / "tiny.lmx";
  std::string bytes;
};

} // namespace

TEST_F(ExecutableFile, RoundTrip) {
  auto loaded = Executable::load(file);
  executable::Executable message = loaded->message();
  EXPECT_NE(message.code_checksum(), 0u);
  message.clear_code_checksum();
  for (executable::Tensor &tensor : *message.mutable_tensors())
    tensor.clear_data_checksum();
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(message, tinyMessage()));
  DataSection data = tinyData();
  EXPECT_TRUE(std::ranges::equal(loaded->data(), data));
  EXPECT_EQ(loaded->code().size(), message.code_bytes());
  EXPECT_EQ(loaded->findTensor("y"), 3);
  EXPECT_EQ(loaded->findTensor("z"), -1);
  EXPECT_EQ(loaded->findProgram("forward"), 0);
  EXPECT_EQ(loaded->findProgram("backward"), -1);

  loaded->save(folder / "again.lmx");
  EXPECT_EQ(readFile(folder / "again.lmx"), bytes);
  EXPECT_EQ(folder.numFiles(), 2u);
}

TEST_F(ExecutableFile, IsWhatTheFormatSays) {
  std::string header = bytes.substr(kPrefix, headerLength(bytes));
  EXPECT_EQ(bytes, fileOf(header, tinyData()));
  executable::Executable message;
  ASSERT_TRUE(message.ParseFromString(header));
  EXPECT_EQ(message.tensors(1).data_checksum(),
            XXH3_64bits(bytes.data() + kPage * ((kPrefix + header.size() + 8 + kPage - 1) / kPage),
                        message.tensors(1).bytes()));
}

TEST_F(ExecutableFile, EveryTruncationIsAnError) {
  for (size_t size = 0; size < bytes.size(); size += size < kPage + 600 ? 1 : 97) {
    std::string error = loadError(bytes.substr(0, size));
    EXPECT_THAT(error, StartsWith("'" + file.string() + "': ")) << size;
  }
  EXPECT_EQ(loadError(bytes), "");
}

TEST_F(ExecutableFile, EveryFlippedBitIsAnError) {
  size_t headerEnd = kPrefix + headerLength(bytes) + 8;
  for (size_t i = 0; i < bytes.size(); i += i < headerEnd ? 1 : 61) {
    if (i >= headerEnd && i < kPage)
      continue; // padding
    std::string changed = bytes;
    changed[i] ^= char(1 << (i % 8));
    std::string error = loadError(changed);
    if (i >= kPage + 400 && i < kPage + 512) // gaps in the data section and the scale
      EXPECT_THAT(error, AnyOf("", HasSubstr("'scale' does not match its data_checksum"))) << i;
    else
      EXPECT_THAT(error, StartsWith("'" + file.string() + "': ")) << i;
  }
}

TEST_F(ExecutableFile, NamesWhatIsDamaged) {
  auto flip = [&](size_t at) {
    std::string changed = bytes;
    changed[at] ^= 1;
    return loadError(changed);
  };
  EXPECT_THAT(flip(0), HasSubstr("bad magic"));
  EXPECT_THAT(flip(kPrefix), HasSubstr("header does not match its checksum"));
  EXPECT_THAT(flip(kPage), HasSubstr("tensor 'w' does not match its data_checksum"));
  EXPECT_THAT(flip(bytes.size() - 1), HasSubstr("code does not match code_checksum"));
  std::string huge = bytes;
  std::memset(huge.data() + 8, 0xff, 8);
  EXPECT_THAT(loadError(huge), HasSubstr("header length 18446744073709551615 leaves the file"));
  EXPECT_THAT(loadError(fileOf("\xff\xff\xff", {})), HasSubstr("not a valid message"));
  EXPECT_THAT(errorOf([&] { Executable::load(folder / "none.lmx"); }),
              HasSubstr("none.lmx': No such file"));
  EXPECT_THAT(errorOf([&] { Executable::load(folder.path); }), HasSubstr("not a regular file"));
}

// Damage that a checksum does not show: what somebody wrote on purpose.
TEST_F(ExecutableFile, ForgedHeadersLoadOrFailCleanly) {
  std::string header = bytes.substr(kPrefix, headerLength(bytes));
  DataSection data = tinyData();
  Philox random(1);
  int refused = 0;
  constexpr int kRounds = 3000;
  for (int round = 0; round < kRounds; ++round) {
    std::string forged = header;
    for (uint64_t i = 0, count = 1 + random.below(10 * round, 3); i < count; ++i) {
      uint64_t at = random.below(10 * round + 2 * i + 1, forged.size());
      forged[at] = char(random.below(10 * round + 2 * i + 2, 256));
    }
    writeFile(file, fileOf(forged, data));
    try {
      Session session(Executable::load(file), {.threads = 1});
    } catch (const Error &) {
      ++refused;
    }
  }
  EXPECT_GT(refused, kRounds / 4);
}

TEST_F(ExecutableFile, SaveChecksAndKeepsTheOldFile) {
  executable::Executable message = tinyMessage();
  message.set_state_bytes(64);
  Executable wrong(message, tinyData());
  EXPECT_THAT(errorOf([&] { wrong.save(file); }), HasSubstr("leave their region of 64 bytes"));
  EXPECT_EQ(readFile(file), bytes);

  message = tinyMessage();
  (*message.mutable_metadata())["source_path"] = "\xff";
  Executable unreadable(message, tinyData());
  EXPECT_THAT(errorOf([&] { unreadable.save(file); }), HasSubstr("is not UTF-8"));
  EXPECT_EQ(readFile(file), bytes);
}
