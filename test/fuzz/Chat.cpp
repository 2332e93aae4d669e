// Hostile chat templates: each is an Error or a text within its limits. The input is the template; what
// stands behind a NUL is the JSON of its variables.
#include "frontend/chat/Template.h"
#include "frontend/chat/Text.h"

#include "frontend/tokenizer/Utf8.h"

#include <cstdlib>

using namespace lmc;
using namespace lmc::chat;

static const char *conversation = R"({"messages": [{"role": "system", "content": " s\n"},
  {"role": "user", "content": "héllo"}, {"role": "assistant", "content": null,
   "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5, true]}}}]}],
  "tools": [{"type": "function"}], "bos_token": "<s>", "add_generation_prompt": true})";

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view input(reinterpret_cast<const char *>(data), size);
  size_t end = input.find('\0');
  std::string_view text = input.substr(0, end);
  Limits limits;
  limits.steps = 100'000;
  limits.bytes = 4 << 20;
  limits.output = 1 << 20;
  try {
    Value variables =
        parseJson(end == std::string_view::npos ? conversation : input.substr(end + 1));
    if (!variables.isDict())
      return 0;
    std::string rendered = Template(text, "t").render(variables, limits, 1700000000);
    if (rendered.size() > static_cast<size_t>(limits.output) ||
        validUtf8Prefix(rendered) != rendered.size())
      std::abort();
  } catch (const Error &) {
  }
  return 0;
}
