// A template in the part of Jinja that chat templates are written in (docs/chat.md lists it), as
// transformers sets it up: trim_blocks, lstrip_blocks, no escaping, an immutable sandbox.
#pragma once

#include "frontend/chat/Value.h"

#include <ctime>
#include <memory>
#include <string>
#include <string_view>

namespace lmc::chat {

class Template {
public:
  /// Parses once. Error "'NAME':LINE:COLUMN: ..." for what is not understood.
  Template(std::string_view text, std::string name);
  ~Template();

  /// variables: a dict. Error "'NAME':LINE:COLUMN: ..." where the template fails, refuses
  /// (raise_exception) or exceeds the limits. May be called from several threads at once.
  std::string render(const Value &variables, const Limits &limits = {},
                     std::time_t now = std::time(nullptr)) const;

private:
  struct Parsed;
  std::string name;
  std::unique_ptr<const Parsed> parsed;
};

} // namespace lmc::chat
