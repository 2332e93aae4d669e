#include "frontend/data/TextReader.h"

#include "frontend/json/StrictJson.h"
#include "runtime/Error.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

namespace lmc {

bool isJsonLines(const std::filesystem::path &path) { return path.extension() == ".jsonl"; }

static std::string textOfLine(const std::string &line, const std::string &where) {
  nlohmann::json document;
  try {
    document = parseStrictJson(line, 64);
  } catch (const std::exception &error) {
    fail("{}: {}", where, error.what());
  }
  if (!document.is_object() || !document.contains("text") || !document["text"].is_string())
    fail("{}: expected an object with a string \"text\"", where);
  return document["text"].get<std::string>();
}

TextSource readTexts(const std::filesystem::path &path) {
  bool lines = isJsonLines(path);
  if (!lines && path.extension() != ".txt")
    fail("'{}': unknown kind of text file (known: .txt, .jsonl)", path.string());
  auto file = std::make_shared<std::ifstream>(path, std::ios::binary);
  if (!*file)
    fail("'{}': cannot be opened: {}", path.string(), std::strerror(errno));
  if (!std::filesystem::is_regular_file(path))
    fail("'{}': not a regular file", path.string());
  if (file->peek() == std::ifstream::traits_type::eof())
    fail("'{}': is empty", path.string());

  auto checkReading = [file, path] {
    if (file->bad())
      fail("'{}': cannot be read: {}", path.string(), std::strerror(errno));
  };
  if (!lines)
    return [=](TextPiece &piece) {
      piece.text.resize(size_t(1) << 20);
      file->read(piece.text.data(), std::streamsize(piece.text.size()));
      checkReading();
      piece.text.resize(size_t(file->gcount()));
      piece.endsDocument = file->eof();
      return !piece.text.empty();
    };
  return [=, number = int64_t(0)](TextPiece &piece) mutable {
    std::string line;
    while (std::getline(*file, line)) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos)
        continue;
      piece = {textOfLine(line, fmt::format("{}:{}", path.string(), number)), true};
      return true;
    }
    checkReading();
    return false;
  };
}

} // namespace lmc
