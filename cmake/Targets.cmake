# How Orrery's libraries, programs and tests are made. A folder is a library; every *.cpp in it is
# compiled, and so is every *.cu where CUDA is on. A *.cpp that includes kernels/parallel_for.hpp is
# single source: it is compiled as CUDA in a CUDA build.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_path(GEMMI_INCLUDE_DIR gemmi/dencalc.hpp REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(FFTW REQUIRED IMPORTED_TARGET fftw3)
pkg_check_modules(FFTWF REQUIRED IMPORTED_TARGET fftw3f)

# --- CUDA, where there is a compiler for it ------------------------------------------------------
set(ORRERY_HAS_CUDA OFF)
if(NOT ORRERY_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  set(CMAKE_CUDA_ARCHITECTURES ${ORRERY_CUDA_ARCHITECTURES})
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    # CMake before 3.26 does not know that nvcc 12 and later speak C++20.
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    find_package(CUDAToolkit REQUIRED)
    set(ORRERY_HAS_CUDA ON)
  elseif(ORRERY_CUDA STREQUAL "ON")
    message(FATAL_ERROR "ORRERY_CUDA=ON, but nvcc was not found; put it on PATH or set ORRERY_CUDA=OFF")
  endif()
endif()
message(STATUS "Orrery: CUDA ${ORRERY_HAS_CUDA}, build type ${CMAKE_BUILD_TYPE}")

# --- Several processes, where there is MPI to join them, and NCCL to add up what lies on GPUs --------
find_package(MPI QUIET COMPONENTS C)
set(ORRERY_WITH_MPI 0)
set(ORRERY_WITH_NCCL 0)
set(left_out processes_mpi.cpp processes_nccl.cu)
if(MPI_C_FOUND)
  set(ORRERY_WITH_MPI 1)
  list(REMOVE_ITEM left_out processes_mpi.cpp)
  if(ORRERY_HAS_CUDA)
    find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    find_library(NCCL_LIBRARY nccl HINTS ${CUDAToolkit_LIBRARY_DIR})
    if(NCCL_INCLUDE_DIR AND NCCL_LIBRARY)
      set(ORRERY_WITH_NCCL 1)
      list(REMOVE_ITEM left_out processes_nccl.cu)
    endif()
  endif()
endif()
list(JOIN left_out "|" left_out)
set(ORRERY_LEFT_OUT "/(${left_out})$")
message(STATUS "Orrery: MPI ${ORRERY_WITH_MPI}, NCCL ${ORRERY_WITH_NCCL}")

# --- Flags every target shares -------------------------------------------------------------------
add_library(orrery_flags INTERFACE)
target_include_directories(orrery_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
# No floating-point traps or errno are used, so that loops over sqrt, rint and the like vectorise;
# sums keep their order.
set(cxx_flags -fno-math-errno -fno-trapping-math)
if(ORRERY_PROCESSOR)
  list(APPEND cxx_flags -march=${ORRERY_PROCESSOR} -mprefer-vector-width=512)
endif()
if(ORRERY_SANITIZE)
  # A null pointer ends a program anyway, and the emulation checks alignment; testing each access for
  # them as well takes up to a third of the time to compile.
  list(APPEND cxx_flags -fsanitize=address,undefined -fno-sanitize=null,alignment,vptr,object-size
       -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(orrery_flags INTERFACE -fsanitize=address,undefined)
endif()
set(warning_flags -Wall -Wextra -Wshadow -Wno-unknown-pragmas)
if(ORRERY_WARNINGS_AS_ERRORS)
  list(APPEND warning_flags -Werror)
endif()
target_compile_options(orrery_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${cxx_flags};${warning_flags}>")
target_link_libraries(orrery_flags INTERFACE OpenMP::OpenMP_CXX)
if(ORRERY_HAS_CUDA)
  # OpenMP_CXX does not reach CUDA files. Warning 554 is about View's conversion to View<const T>,
  # which a View<const T> rightly never uses.
  set(cuda_flags -Xcompiler=-fopenmp --diag-suppress=554 --expt-relaxed-constexpr
      -Xcompiler=-fno-math-errno -Xcompiler=-fno-trapping-math)
  if(ORRERY_PROCESSOR)
    list(APPEND cuda_flags -Xcompiler=-march=${ORRERY_PROCESSOR} -Xcompiler=-mprefer-vector-width=512)
  endif()
  if(ORRERY_WARNINGS_AS_ERRORS)
    list(APPEND cuda_flags -Werror=all-warnings)
  endif()
  target_compile_options(orrery_flags INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_flags}>")
endif()

# The sanitizers watch the hottest loops from the outside only: checking each of their loads, and
# keeping them from being vectorised, would make the tests of whole programs many times slower.
if(ORRERY_SANITIZE)
  set_source_files_properties(kernels/sine_network_tiles.cpp kernels/moment_residual_tiles.cpp
    kernels/row_products_tiles.cpp PROPERTIES COMPILE_OPTIONS "-O3;-fno-sanitize=all")
endif()

# Command lines and tests take about half the time to compile there without optimisation, and have little
# to run themselves.
function(orrery_compile_quickly_under_sanitizers target)
  if(ORRERY_SANITIZE)
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

# What each folder needs from outside.
set(needs_kernels PkgConfig::FFTW PkgConfig::FFTWF ${CMAKE_DL_LIBS})
set(needs_geometry)
set(needs_moments)
set(needs_nn)
set(needs_io ${HDF5_LIBRARIES} ZLIB::ZLIB PNG::PNG spdlog::spdlog_header_only nlohmann_json::nlohmann_json)
set(needs_apps orrery_version CLI11::CLI11)

# orrery_sources(FOLDER result): its C++ files, single-source ones among them.
function(orrery_sources folder result)
  file(GLOB files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  list(FILTER files EXCLUDE REGEX ${ORRERY_LEFT_OUT})
  set(${result} ${files} PARENT_SCOPE)
endfunction()

# orrery_single_sources(result FILES...): those that include parallel_for.hpp.
function(orrery_single_sources result)
  set(found)
  foreach(file ${ARGN})
    file(STRINGS ${PROJECT_SOURCE_DIR}/${file} includes REGEX "#include \"kernels/parallel_for.hpp\"")
    if(includes)
      list(APPEND found ${file})
    endif()
  endforeach()
  set(${result} ${found} PARENT_SCOPE)
endfunction()

# orrery_join_processes(TARGET): what kernels/processes_*.cpp need. Programs that only ever run as one
# process load none of it.
function(orrery_join_processes target)
  target_compile_definitions(${target} PRIVATE
    ORRERY_WITH_MPI=${ORRERY_WITH_MPI} ORRERY_WITH_NCCL=${ORRERY_WITH_NCCL})
  set(libraries)
  if(ORRERY_WITH_MPI)
    set_source_files_properties(kernels/processes_mpi.cpp PROPERTIES
      INCLUDE_DIRECTORIES "${MPI_C_INCLUDE_DIRS}")
    list(APPEND libraries ${MPI_C_LIBRARIES})
  endif()
  if(ORRERY_WITH_NCCL)
    target_include_directories(${target} SYSTEM PRIVATE ${NCCL_INCLUDE_DIR})
    list(APPEND libraries ${NCCL_LIBRARY})
  endif()
  if(libraries)
    # Options of the linker, to CMake: it adds no search paths for what they name.
    set(paths)
    foreach(library ${libraries})
      get_filename_component(folder ${library} DIRECTORY)
      list(APPEND paths "-rpath,${folder}")
    endforeach()
    list(REMOVE_DUPLICATES paths)
    list(JOIN paths "," paths)
    list(JOIN libraries "," libraries)
    target_link_libraries(${target} PUBLIC
      "-Wl,--push-state,--as-needed,${libraries},--pop-state,${paths}")
  endif()
endfunction()

# orrery_library(FOLDER other folders...): one static library a folder.
function(orrery_library folder)
  orrery_sources(${folder} sources)
  file(GLOB cuda_sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/${folder}/*.cu)
  list(FILTER cuda_sources EXCLUDE REGEX ${ORRERY_LEFT_OUT})
  if(ORRERY_HAS_CUDA)
    orrery_single_sources(single_sources ${sources})
    set_source_files_properties(${single_sources} PROPERTIES LANGUAGE CUDA)
    list(APPEND sources ${cuda_sources})
  endif()
  add_library(orrery_${folder} STATIC ${sources})
  target_link_libraries(orrery_${folder} PUBLIC orrery_flags)
  target_compile_definitions(orrery_${folder} PUBLIC ORRERY_WITH_CUDA=$<BOOL:${ORRERY_HAS_CUDA}>)
  foreach(dependency ${ARGN})
    target_link_libraries(orrery_${folder} PUBLIC orrery_${dependency})
  endforeach()
  target_link_libraries(orrery_${folder} PUBLIC ${needs_${folder}})
  if(folder STREQUAL "io")
    target_include_directories(orrery_io SYSTEM PUBLIC ${HDF5_INCLUDE_DIRS} PRIVATE ${GEMMI_INCLUDE_DIR})
  endif()
  if(folder STREQUAL "kernels" AND ORRERY_HAS_CUDA)
    target_link_libraries(orrery_kernels PUBLIC CUDA::cudart CUDA::cublas CUDA::cufft)
  endif()
  if(folder STREQUAL "kernels")
    orrery_join_processes(orrery_kernels)
  endif()
endfunction()

# orrery_program(NAME folders...): apps/NAME, every file of it but main.cpp also usable by tests.
function(orrery_program name)
  orrery_sources(apps/${name} sources)
  list(FILTER sources EXCLUDE REGEX "/main.cpp$")
  if(ORRERY_HAS_CUDA)
    orrery_single_sources(single_sources ${sources})
    set_source_files_properties(${single_sources} PROPERTIES LANGUAGE CUDA)
  endif()
  set(parts)
  foreach(dependency ${ARGN})
    list(APPEND parts orrery_${dependency})
  endforeach()
  if(sources)
    add_library(orrery_app_${name} STATIC ${sources})
    target_link_libraries(orrery_app_${name} PUBLIC ${parts} CLI11::CLI11 orrery_version)
    orrery_compile_quickly_under_sanitizers(orrery_app_${name})
    set(parts orrery_app_${name})
  endif()
  add_executable(${name} apps/${name}/main.cpp)
  target_link_libraries(${name} PRIVATE ${parts} CLI11::CLI11 orrery_version)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  orrery_bundle(${name})
endfunction()
