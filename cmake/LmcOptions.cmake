set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
if(LMC_ASSERTIONS)
  # Debian's LLVM is built without assertions; keeping ours makes cast<> check.
  string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
endif()
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")

# -ffp-contract=off: host code (evaluator, optimizer references, sampling) must
# give the same bits whatever the compiler would like to fuse.
add_compile_options(-Wall -Wextra -Wno-unused-parameter -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_link_options(-fuse-ld=lld)
endif()
if(LMC_SANITIZE)
  add_compile_options(-fsanitize=${LMC_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${LMC_SANITIZE})
endif()

if(LMC_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(LMC_CCACHE ccache)
if(LMC_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${LMC_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LMC_CCACHE})
endif()
# ccache serves precompiled headers only if their time stamps do not count.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
endif()
if(LMC_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${LMC_CCACHE})
endif()
