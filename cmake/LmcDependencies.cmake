# Debian 12's packages; scripts/setup installs them.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(GTest REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)

# "19" alone is refused by MLIRConfigVersion; stay on the 19.1 series.
find_package(MLIR 19.1 REQUIRED CONFIG HINTS /usr/lib/llvm-19/lib/cmake/mlir)
find_package(LLD 19.1 CONFIG HINTS /usr/lib/llvm-19/lib/cmake/lld)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
# TableGen reads .td files by their path from the repository root or from MLIR's headers.
include_directories(${PROJECT_SOURCE_DIR})
include_directories(SYSTEM ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
separate_arguments(LMC_LLVM_DEFINITIONS NATIVE_COMMAND ${LLVM_DEFINITIONS})

# CUDA is optional at build and at run time: only headers are used here, the
# libraries are opened with dlopen.
set(LMC_HAVE_CUDA OFF)
if(NOT LMC_CUDA STREQUAL "off")
  find_path(LMC_CUDA_INCLUDE nvrtc.h HINTS /usr/local/cuda/include $ENV{CUDA_HOME}/include)
  if(LMC_CUDA_INCLUDE)
    set(LMC_HAVE_CUDA ON)
  elseif(LMC_CUDA STREQUAL "on")
    message(FATAL_ERROR "LMC_CUDA=on, but nvrtc.h was not found (set CUDA_HOME)")
  endif()
endif()
message(STATUS "CUDA toolkit: ${LMC_HAVE_CUDA}")
