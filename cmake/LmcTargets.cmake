# lmc_library(name SOURCES a.cpp ... LINK x ... [MLIR])
# MLIR: the sources include MLIR headers; they get its include paths and the shared
# precompiled header.
function(lmc_library name)
  cmake_parse_arguments(ARG "MLIR" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
  if(ARG_MLIR)
    lmc_use_mlir(${name})
    if(name STREQUAL "lmc_ir")
      target_precompile_headers(${name} PRIVATE ${PROJECT_SOURCE_DIR}/ir/Precompiled.h)
    else()
      target_precompile_headers(${name} REUSE_FROM lmc_ir)
    endif()
  endif()
endfunction()

function(lmc_use_mlir name)
  target_include_directories(${name} SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_compile_definitions(${name} PUBLIC ${LMC_LLVM_DEFINITIONS})
  target_link_libraries(${name} PUBLIC lmc_llvm)
endfunction()

function(lmc_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
endfunction()

# One GoogleTest program; ctest runs it once as a whole (a process start costs
# more than most cases), from the repository root. ONE_CORE: it keeps one core busy
# and watches no clock, so `ctest -j` may run others beside it.
function(lmc_unit_test name)
  cmake_parse_arguments(ARG "ONE_CORE" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/test)
  add_test(NAME unit.${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  if(NOT ARG_ONE_CORE)
    set_tests_properties(unit.${name} PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()

# lmc_embed(OUTPUT file...): the files, one after the other, as one C++ string literal to #include.
function(lmc_embed output)
  set(script ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE files)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUT=${output} "-DFILES=${files}" -P ${script}
    DEPENDS ${files} ${script}
    COMMENT "embed ${ARGN}"
    VERBATIM)
endfunction()

# lmc_protobuf(result folder/Name): C++ for folder/Name.proto, included as "folder/Name.pb.h".
function(lmc_protobuf result name)
  set(generated ${PROJECT_BINARY_DIR}/${name}.pb.cc ${PROJECT_BINARY_DIR}/${name}.pb.h)
  add_custom_command(
    OUTPUT ${generated}
    COMMAND protobuf::protoc -I${PROJECT_SOURCE_DIR} --cpp_out=${PROJECT_BINARY_DIR} ${name}.proto
    DEPENDS ${PROJECT_SOURCE_DIR}/${name}.proto
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    COMMENT "protoc ${name}.proto"
    VERBATIM)
  set(${result} ${generated} PARENT_SCOPE)
endfunction()
