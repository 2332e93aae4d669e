#include "runtime/Code.h"

#include "TinyExecutable.h"

#include <gmock/gmock.h>

#include <elf.h>

using namespace lmc;
using namespace lmc::test;
using testing::HasSubstr;

namespace {

/// The Error of loading the tiny executable's code after a change.
template <typename Change> std::string errorAfter(Change &&change) {
  executable::Executable message = tinyMessage();
  DataSection data = tinyData();
  change(message, reinterpret_cast<Elf64_Ehdr &>(data[message.code_offset()]));
  Executable executable(message, data);
  return errorOf([&] { Code code(executable); });
}

} // namespace

TEST(Code, FindsKernels) {
  auto executable = tinyExecutable();
  Code code(*executable);
  alignas(64) float x[2] = {3, 4}, w[2] = {5, 6}, product[2] = {};
  void *buffers[] = {x, w, product};
  code.kernel(0)(buffers, nullptr, 0, 2, nullptr);
  EXPECT_EQ(product[0], 15);
  EXPECT_EQ(product[1], 24);
}

// The loader knows libraries by name, and these names hold a descriptor's number.
TEST(Code, ObjectsLoadedTogetherOrInTurnAreNotMixedUp) {
  auto executable = tinyExecutable();
  auto first = std::make_unique<Code>(*executable);
  Code second(*executable);
  EXPECT_NE(first->kernel(0), second.kernel(0));
  first.reset();
  Code third(*executable);
  EXPECT_NE(third.kernel(0), second.kernel(0));
}

TEST(Code, RefusesForeignCode) {
  EXPECT_THAT(errorAfter([](auto &, auto &elf) { elf.e_machine = EM_RISCV; }),
              HasSubstr("made for another processor (ELF machine 243)"));
  EXPECT_THAT(errorAfter([](auto &, auto &elf) { elf.e_ident[0] = 0; }),
              HasSubstr("not a 64-bit ELF shared object"));
  EXPECT_THAT(errorAfter([](auto &, auto &elf) { elf.e_type = ET_REL; }),
              HasSubstr("not a 64-bit ELF shared object"));
  EXPECT_THAT(errorAfter([](auto &, auto &elf) { elf.e_phoff = ~uint64_t(0); }),
              HasSubstr("program headers leave the object"));
  EXPECT_THAT(
      errorAfter([](auto &message, auto &) { message.set_code_bytes(sizeof(Elf64_Ehdr) + 10); }),
      HasSubstr("program headers leave the object"));
  EXPECT_THAT(errorAfter([](auto &message, auto &elf) {
                auto *segments = reinterpret_cast<Elf64_Phdr *>(&elf + 1);
                for (int i = 0; i < elf.e_phnum; ++i)
                  segments[i].p_filesz = ~uint64_t(0);
              }),
              HasSubstr("leaves the object"));
  EXPECT_THAT(errorAfter([](auto &message, auto &) { message.set_code_bytes(10); }),
              HasSubstr("10 bytes are no ELF file"));
  EXPECT_THAT(
      errorAfter([](auto &message, auto &) { message.mutable_kernels(1)->set_symbol("nobody"); }),
      HasSubstr("kernel 'nobody' is missing"));
}

#if defined(__x86_64__)
TEST(Code, RefusesCodeForMissingFeatures) {
  if (__builtin_cpu_supports("avx512bf16"))
    GTEST_SKIP() << "this processor has every feature that lmc asks about";
  EXPECT_THAT(errorAfter([](auto &message, auto &) {
                message.set_target("cpu:x86_64:cooperlake:+sse2,+avx512bf16");
              }),
              HasSubstr("lacks avx512bf16; compile again"));
}
#endif
