# orrery_version: "orrery/version.hpp" with the version and the commit it was built from. The commit
# is looked up at build time, so that it does not go stale.
set(version_header ${PROJECT_BINARY_DIR}/generated/orrery/version.hpp)
add_custom_target(orrery_commit
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
          -DOUTPUT=${version_header} -P ${PROJECT_SOURCE_DIR}/cmake/WriteVersion.cmake
  BYPRODUCTS ${version_header})
add_library(orrery_version INTERFACE)
target_include_directories(orrery_version INTERFACE ${PROJECT_BINARY_DIR}/generated)
add_dependencies(orrery_version orrery_commit)
