#include "frontend/checkpoint/SafetensorsFile.h"

#include "frontend/checkpoint/SafetensorsHeader.h"
#include "runtime/Error.h"
#include "runtime/FilePages.h"

#include <algorithm>
#include <cstring>

namespace lmc {

SafetensorsFile SafetensorsFile::open(const std::filesystem::path &path) {
  SafetensorsFile result(path, MappedFile(path));
  try {
    result.readHeader();
  } catch (const Error &error) {
    fail("'{}': {}", path.string(), error.what());
  }
  return result;
}

void SafetensorsFile::readHeader() {
  std::span<const std::byte> bytes = mapped.bytes();
  uint64_t length = 0;
  if (bytes.size() < sizeof(length))
    fail("is no safetensors file: it has only {} bytes", bytes.size());
  std::memcpy(&length, bytes.data(), sizeof(length));
  bytes = bytes.subspan(sizeof(length));
  if (length > maxHeaderBytes)
    fail("header would be {} bytes long, at most {} are read (is this a safetensors file?)", length,
         maxHeaderBytes);
  if (length > bytes.size())
    fail("header would be {} bytes long, the file has {} (is it truncated?)", length, bytes.size());
  std::string_view json(reinterpret_cast<const char *>(bytes.data()), length);
  std::span<const std::byte> data = bytes.subspan(length);

  SafetensorsHeader header = parseSafetensorsHeader(json, data.size());
  extra = std::move(header.metadata);
  if (extra.contains(std::string(checksumKey)))
    verifyChecksum(json, data);
  for (auto &[name, entry] : header.tensors)
    tensors.emplace(name, TensorView{entry.type, std::move(entry.shape),
                                     data.subspan(entry.begin, entry.end - entry.begin)});
}

void SafetensorsFile::verifyChecksum(std::string_view json, std::span<const std::byte> data) const {
  std::string header(json);
  size_t digits = findChecksum(header);
  std::string stored = extra.at(std::string(checksumKey));
  if (digits != std::string::npos)
    header.replace(digits, zeroChecksum.size(), zeroChecksum);
  Checksum checksum;
  checksum.add(std::as_bytes(std::span(header)));
  // Reading a file of many gigabytes must not make the process look that large.
  constexpr size_t window = size_t(32) << 20;
  for (size_t at = 0; at < data.size(); at += window) {
    std::span<const std::byte> part = data.subspan(at, std::min(window, data.size() - at));
    checksum.add(part);
    forgetPages(part);
  }
  if (std::string actual = checksum.digits(); actual != stored)
    fail("is damaged: its checksum is {}, it should be {} (if another program changed the file on "
         "purpose, it must drop '{}' from the metadata)",
         actual, stored.substr(0, 16), checksumKey);
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> result;
  for (const auto &[name, view] : tensors)
    result.push_back(name);
  return result;
}

const TensorView *SafetensorsFile::find(const std::string &name) const {
  auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

} // namespace lmc
