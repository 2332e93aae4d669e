// What makes ids of pre-tokenised pieces. Private to this folder.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lmc {

/// Lets unordered_map<string, ...> be asked with a string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename T>
using StringMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

/// Immutable once it is built; encode may be called from several threads.
class TokenModel {
public:
  virtual ~TokenModel() = default;

  /// Appends the ids of a piece, which is not empty; they depend on nothing else. Error if the
  /// vocabulary cannot express the piece.
  virtual void encode(std::string_view piece, std::vector<int32_t> &ids) const = 0;

  /// The length of a first part of piece whose ids, followed by those of the rest, are the ids of
  /// the whole; piece.size() if none is known.
  virtual size_t firstPart(std::string_view piece) const { return piece.size(); }
};

} // namespace lmc
