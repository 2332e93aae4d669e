# lmc_llvm: LLVM, MLIR and what lld needs of them, for all that links it. As shared libraries, so that dozens of
# test programs stay small; a program with the property LMC_STATIC_LLVM has them inside: it is one file, starts in
# half the time (nothing is looked up by name) and takes 25 MB less of memory, which matters beside an edge box's model.
option(LMC_STATIC "Link LLVM and MLIR into lmc where their archives are installed" ON)

add_library(lmc_llvm_shared INTERFACE)
target_link_libraries(lmc_llvm_shared INTERFACE MLIR LLVM)

# Archives of which the linker takes what is needed. Passes of LLVM's own linker know Polly, which is another package.
set(archives "")
foreach(target ${MLIR_EXPORTED_TARGETS} ${LLVM_AVAILABLE_LIBS})
  if(EXISTS ${LLVM_LIBRARY_DIR}/lib${target}.a)
    list(APPEND archives ${LLVM_LIBRARY_DIR}/lib${target}.a)
  endif()
endforeach()
set(LMC_HAVE_STATIC_LLVM OFF)
if(LMC_STATIC AND NOT LMC_SANITIZE AND EXISTS ${LLVM_LIBRARY_DIR}/libMLIRIR.a AND EXISTS ${LLVM_LIBRARY_DIR}/libPolly.a)
  set(LMC_HAVE_STATIC_LLVM ON)
  list(APPEND archives ${LLVM_LIBRARY_DIR}/libPolly.a ${LLVM_LIBRARY_DIR}/libPollyISL.a)
  list(REMOVE_DUPLICATES archives)
  string(REPLACE ";" "," archives "${archives}")
  add_library(lmc_llvm_static INTERFACE)
  target_link_libraries(lmc_llvm_static INTERFACE "$<LINK_GROUP:RESCAN,${archives}>" z zstd tinfo)
  # Relocations in a form that is 1/20 as long.
  target_link_options(lmc_llvm_static INTERFACE LINKER:--gc-sections LINKER:-z,pack-relative-relocs)
endif()
message(STATUS "LLVM inside lmc: ${LMC_HAVE_STATIC_LLVM}")

add_library(lmc_llvm INTERFACE)
set(static "$<AND:$<BOOL:${LMC_HAVE_STATIC_LLVM}>,$<BOOL:$<TARGET_PROPERTY:LMC_STATIC_LLVM>>>")
target_link_libraries(lmc_llvm INTERFACE
  $<${static}:lmc_llvm_static> $<$<NOT:${static}>:lmc_llvm_shared>)

# lld's archives ask for the shared library by name.
foreach(target lldCommon lldELF)
  if(TARGET ${target})
    get_target_property(links ${target} INTERFACE_LINK_LIBRARIES)
    list(TRANSFORM links REPLACE "^LLVM$" lmc_llvm)
    set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${links}")
  endif()
endforeach()
