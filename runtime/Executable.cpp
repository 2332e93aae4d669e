#include "runtime/Executable.h"

#include "runtime/AtomicFile.h"
#include "runtime/Error.h"
#include "runtime/KernelAbi.h"
#include "runtime/Verify.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <xxhash.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace lmc {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

namespace {

constexpr char kMagic[8] = {'L', 'M', 'X', 0, 1, 0, 0, 0};
constexpr uint64_t kPage = 4096;
constexpr uint64_t kPrefixBytes = sizeof kMagic + sizeof(uint64_t);
constexpr uint64_t kMostHeaderBytes = uint64_t(1) << 28; // bounds what a bad file makes us parse

std::string reason(int code) { return std::generic_category().message(code); }

uint64_t wordAt(const std::byte *bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

std::string_view viewOf(const uint64_t &word) {
  return {reinterpret_cast<const char *>(&word), sizeof word};
}

bool parse(executable::Executable &message, std::span<const std::byte> bytes) {
  google::protobuf::LogSilencer quiet; // we report it ourselves
  return message.ParseFromArray(bytes.data(), int(bytes.size()));
}

uint64_t checksum(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

} // namespace

uint64_t sizeOf(executable::DType type) {
  switch (type) {
  case executable::U8:
  case executable::BOOL:
    return 1;
  case executable::BF16:
  case executable::F16:
    return 2;
  case executable::F32:
  case executable::I32:
  case executable::U32:
    return 4;
  case executable::F64:
  case executable::I64:
    return 8;
  default:
    fail("element type {} is unknown", int(type));
  }
}

std::string_view nameOf(executable::DType type) {
  switch (type) {
  case executable::F32:
    return "f32";
  case executable::BF16:
    return "bf16";
  case executable::F16:
    return "f16";
  case executable::F64:
    return "f64";
  case executable::I32:
    return "i32";
  case executable::I64:
    return "i64";
  case executable::U8:
    return "u8";
  case executable::BOOL:
    return "bool";
  case executable::U32:
    return "u32";
  default:
    return "unknown";
  }
}

template <> void *PageAllocator<std::byte>::allocatePages(size_t bytes) {
  void *address =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED)
    throw std::bad_alloc();
  ::madvise(address, bytes, MADV_HUGEPAGE); // as an arena: fewer faults now, fewer TLB misses later
  return address;
}

template <> void PageAllocator<std::byte>::freePages(void *address, size_t bytes) {
  ::munmap(address, bytes);
}

/// Pages that hold the data section, of a file or taken over. Its start is aligned to a page.
struct Executable::Mapping {
  Mapping(void *address, size_t bytes, size_t dataOffset)
      : address(address), bytes(bytes), dataOffset(dataOffset) {}
  explicit Mapping(DataSection data)
      : owned(std::move(data)), address(owned.data()), bytes(owned.size()), dataOffset(0) {
    // From here on as read-only as a mapped file, so that a stray write shows in both cases.
    ::mprotect(address, bytes, PROT_READ);
  }
  Mapping(const Mapping &) = delete;
  Mapping &operator=(const Mapping &) = delete;
  ~Mapping() {
    if (bytes > 0 && owned.empty())
      ::munmap(address, bytes);
  }
  std::span<const std::byte> all() const {
    return {static_cast<const std::byte *>(address), bytes};
  }

  DataSection owned;
  void *address;
  size_t bytes, dataOffset;
};

Executable::Executable(executable::Executable message, DataSection data)
    : proto(std::move(message)) {
  if (!data.empty())
    mapping = std::make_shared<const Mapping>(std::move(data));
}

std::span<const std::byte> Executable::data() const {
  return mapping ? mapping->all().subspan(mapping->dataOffset) : std::span<const std::byte>();
}

std::span<const std::byte> Executable::code() const {
  return data().subspan(proto.code_offset(), proto.code_bytes());
}

int Executable::findTensor(std::string_view name) const {
  for (int i = 0; i < proto.tensors_size(); ++i)
    if (proto.tensors(i).name() == name)
      return i;
  return -1;
}

int Executable::findProgram(std::string_view name) const {
  for (int i = 0; i < proto.programs_size(); ++i)
    if (proto.programs(i).name() == name)
      return i;
  return -1;
}

void Executable::save(const std::filesystem::path &file) const {
  // The producer need not know about checksums.
  executable::Executable message = proto;
  verify(message, data().size());
  message.set_code_checksum(checksum(code()));
  for (executable::Tensor &tensor : *message.mutable_tensors())
    if (tensor.data_offset() >= 0)
      tensor.set_data_checksum(checksum(data().subspan(tensor.data_offset(), tensor.bytes())));

  // Maps in key order: the same executable is the same file.
  std::string header;
  {
    google::protobuf::io::StringOutputStream stream(&header);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    google::protobuf::LogSilencer quiet; // as in parse()
    message.SerializeToCodedStream(&coded);
  }
  if (header.size() > kMostHeaderBytes)
    fail("cannot write '{}': a header of {} bytes is too large", file.string(), header.size());
  // What Protobuf writes it may refuse to read: strings that are not UTF-8.
  if (!parse(message, std::as_bytes(std::span(header))))
    fail("cannot write '{}': a name or a metadata value is not UTF-8", file.string());
  uint64_t length = header.size(), sum = XXH3_64bits(header.data(), header.size());
  uint64_t used = kPrefixBytes + length + sizeof sum;

  AtomicFile out(file);
  out.write(std::string_view(kMagic, sizeof kMagic));
  out.write(viewOf(length));
  out.write(header);
  out.write(viewOf(sum));
  out.write(std::string(alignUp(used, kPage) - used, '\0'));
  out.write(data());
  out.commit();
}

std::shared_ptr<const Executable> Executable::load(const std::filesystem::path &file) {
  int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    fail("cannot open '{}': {}", file.string(), reason(errno));
  struct stat status;
  bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  size_t size = regular ? size_t(status.st_size) : 0;
  void *address = MAP_FAILED;
  if (size > 0)
    address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  int code = errno;
  ::close(descriptor);
  if (!regular)
    fail("'{}': not a regular file", file.string());
  if (size > 0 && address == MAP_FAILED)
    fail("cannot map '{}': {}", file.string(), reason(code));
  Mapping whole(address, size, 0);
  std::span<const std::byte> bytes = whole.all();

  if (size < kPrefixBytes || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
    fail("'{}': not an .lmx file of this version of lmc (bad magic)", file.string());
  uint64_t length = wordAt(bytes.data() + sizeof kMagic);
  if (length > kMostHeaderBytes || length > size - kPrefixBytes ||
      alignUp(kPrefixBytes + length + sizeof(uint64_t), kPage) > size)
    fail("'{}': header length {} leaves the file of {} bytes; is it truncated?", file.string(),
         length, size);
  std::span<const std::byte> header = bytes.subspan(kPrefixBytes, length);
  if (checksum(header) != wordAt(header.data() + length))
    fail("'{}': the header does not match its checksum; the file is damaged", file.string());

  executable::Executable message;
  if (!parse(message, header))
    fail("'{}': the header is not a valid message", file.string());
  uint64_t start = alignUp(kPrefixBytes + length + sizeof(uint64_t), kPage);
  try {
    verify(message, size - start);
  } catch (const Error &error) {
    fail("'{}': {}", file.string(), error.what());
  }

  auto result = std::make_shared<Executable>(std::move(message), DataSection());
  result->mapping = std::make_shared<const Mapping>(address, size, start);
  whole.bytes = 0; // now the result's
  const executable::Executable &proto = result->proto;
  if (checksum(result->code()) != proto.code_checksum())
    fail("'{}': code does not match code_checksum; the file is damaged", file.string());
  for (const executable::Tensor &tensor : proto.tensors())
    if (tensor.data_offset() >= 0 &&
        checksum(result->data().subspan(tensor.data_offset(), tensor.bytes())) !=
            tensor.data_checksum())
      fail("'{}': tensor '{}' does not match its data_checksum; the file is damaged", file.string(),
           tensor.name());
  return result;
}

} // namespace lmc
