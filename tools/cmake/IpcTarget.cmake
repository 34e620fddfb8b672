# ipc_configure_target(<target>): language level, warnings and sanitizers of the project's own targets.
# All of it is private: nothing here reaches a program that links ipc::ipc.

set(_ipc_sanitizer_flags "")
if(IPC_SANITIZE)
    set(_ipc_sanitizer_flags -fsanitize=${IPC_SANITIZE} -fno-sanitize-recover=all
                             -fno-omit-frame-pointer)
endif()

function(ipc_configure_target target)
    set_target_properties(
        ${target} PROPERTIES CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
    target_compile_options(
        ${target}
        PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
                $<$<BOOL:${IPC_WARNINGS_AS_ERRORS}>:-Werror> ${_ipc_sanitizer_flags})
    target_link_options(${target} PRIVATE ${_ipc_sanitizer_flags})
    if(IPC_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # Instrumented code, hardly optimised, has variables that only seem to be uninitialised.
        target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
    endif()
    if("${IPC_SANITIZE}" MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # TSan does not model atomic_thread_fence; GCC says so at every fence.
        target_compile_options(${target} PRIVATE -Wno-tsan)
    endif()
endfunction()

# ipc_add_program(<target> <folder> <source>...): an executable, in that folder of the build tree, that
# links ipc::ipc.
function(ipc_add_program target folder)
    add_executable(${target} ${ARGN})
    target_link_libraries(${target} PRIVATE ipc::ipc)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                                               "${PROJECT_BINARY_DIR}/${folder}")
    ipc_configure_target(${target})
endfunction()

# ipc_install_program(<target>): into the folder for programs, from where it finds a shared libipc also
# in a prefix that the system does not search, and after the prefix was moved.
function(ipc_install_program target)
    if(NOT IPC_INSTALL)
        return()
    endif()
    include(GNUInstallDirs)
    if(BUILD_SHARED_LIBS)
        file(RELATIVE_PATH to_libraries "${CMAKE_INSTALL_FULL_BINDIR}"
             "${CMAKE_INSTALL_FULL_LIBDIR}")
        set_property(TARGET ${target} APPEND PROPERTY INSTALL_RPATH "$ORIGIN/${to_libraries}")
    endif()
    install(TARGETS ${target} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endfunction()
