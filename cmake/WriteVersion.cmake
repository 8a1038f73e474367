# Writes version.hpp, leaving it untouched when nothing has changed.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
set(text "#pragma once\n\nnamespace orrery {\n\ninline constexpr const char* version = \"${VERSION}\";\ninline constexpr const char* commit = \"${commit}\";\n\n}  // namespace orrery\n")
set(old)
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()
