# cmake -DOUT=text.inc "-DFILES=a.cuh;b.cuh" -P Embed.cmake: the files, one after the other, as one
# C++ string literal.
set(text "")
foreach(file IN LISTS FILES)
  file(READ "${file}" content)
  string(APPEND text "${content}\n")
endforeach()
file(WRITE "${OUT}" "R\"embedded(${text})embedded\"\n")
