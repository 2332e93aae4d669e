# Checks of the source tree itself, run by ctest: generated pages, includes between folders, format.
set(generate_docs ${CMAKE_COMMAND} -DTBLGEN=${LLVM_TOOLS_BINARY_DIR}/mlir-tblgen
    -DINCLUDES=${LLVM_INCLUDE_DIR} -P ${PROJECT_SOURCE_DIR}/cmake/GenerateDocs.cmake)
list(INSERT generate_docs 1 -DMODE=write)
add_custom_target(docs COMMAND ${generate_docs} VERBATIM COMMENT "docs/generated from ODS")
list(TRANSFORM generate_docs REPLACE "-DMODE=write" "-DMODE=check")
add_test(NAME docs.generated COMMAND ${generate_docs})

find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME layering COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/test/layering.py)

# Another version of clang-format formats differently, so only this one counts.
find_program(LMC_CLANG_FORMAT clang-format-19)
set(format sh -c "git ls-files -z '*.cpp' '*.h' '*.cuh' | xargs -0 '${LMC_CLANG_FORMAT}' \"$@\"" format)
if(LMC_CLANG_FORMAT)
  add_custom_target(format COMMAND ${format} -i WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
  add_test(NAME format COMMAND ${format} --dry-run --Werror WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
else()
  add_test(NAME format COMMAND ${CMAKE_COMMAND} -E echo "skipped: clang-format-19 is not installed")
  set_tests_properties(format PROPERTIES SKIP_REGULAR_EXPRESSION "^skipped")
endif()
