# What `cmake --install` and `cpack` put together: a folder, or an archive of it, that runs wherever
# it is unpacked. bin holds the programs, and the tests and benchmarks that were built; lib the
# libraries they need beside the C library and CUDA's, which come with the system and the CUDA
# toolkit; share/orrery the trained models, the documentation and the benchmarks' shapes.
#
#   cmake --preset bundle && cmake --build --preset bundle
#   cpack --config build/bundle/CPackConfig.cmake -B build/bundle

include_guard()

set(ORRERY_LIBRARIES_OF_THE_SYSTEM
  "^(ld-linux|libc|libm|libdl|librt|libpthread|libresolv|libutil)[.-]"
  "^lib(cuda|cudart|cublas|cublasLt|cufft|nvJitLink|nccl|cudnn.*)[.]so")

# orrery_bundle(TARGETS...): installs programs. They look for libraries in the bundle first; the tag
# for that is the old one, RPATH, which also holds for the libraries' own libraries and for those
# that are opened at run time.
function(orrery_bundle)
  foreach(target ${ARGN})
    set_target_properties(${target} PROPERTIES
      INSTALL_RPATH "$ORIGIN/../lib;/usr/local/cuda/lib64" BUILD_RPATH_USE_ORIGIN OFF)
    target_link_options(${target} PRIVATE -Wl,--disable-new-dtags)
  endforeach()
  install(TARGETS ${ARGN} RUNTIME_DEPENDENCY_SET orrery_libraries RUNTIME DESTINATION bin)
endfunction()

# To be called once, after the last orrery_bundle.
function(orrery_bundle_libraries)
  install(RUNTIME_DEPENDENCY_SET orrery_libraries
    PRE_EXCLUDE_REGEXES ${ORRERY_LIBRARIES_OF_THE_SYSTEM}
    DIRECTORIES ${CUDAToolkit_LIBRARY_DIR}
    LIBRARY DESTINATION lib)
  # OpenBLAS is opened at run time (kernels/blas.cpp), so nothing names it to CMake.
  find_library(ORRERY_OPENBLAS NAMES libopenblas.so.0 openblas)
  if(ORRERY_OPENBLAS)
    file(REAL_PATH ${ORRERY_OPENBLAS} library)
    install(PROGRAMS ${library} DESTINATION lib RENAME libopenblas.so.0)
    list(JOIN ORRERY_LIBRARIES_OF_THE_SYSTEM "\" \"" system)
    install(CODE "
      file(GET_RUNTIME_DEPENDENCIES LIBRARIES \"${library}\"
           RESOLVED_DEPENDENCIES_VAR libraries PRE_EXCLUDE_REGEXES \"${system}\")
      file(INSTALL \${libraries} DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib\"
           FOLLOW_SYMLINK_CHAIN)")
  endif()
  install(DIRECTORY models docs DESTINATION share/orrery)
  install(FILES README.md LICENSE DESTINATION share/orrery)
  install(FILES bench/shapes.json DESTINATION share/orrery/bench)
  install(PROGRAMS bench/report.py DESTINATION share/orrery/bench)
  install(DIRECTORY bench/pytorch DESTINATION share/orrery/bench)
endfunction()

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_NAME orrery)
set(CPACK_PACKAGE_VENDOR "Orrery's developers")
set(CPACK_PACKAGE_FILE_NAME orrery-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_THREADS 0)
include(CPack)
