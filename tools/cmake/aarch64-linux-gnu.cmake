# Debian's cross compiler: g++-aarch64-linux-gnu; programs run under qemu-user-static if it is there.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# Header-only packages come from /usr/include; libraries and package files of the host must not be found.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)

find_program(IPC_QEMU_AARCH64 NAMES qemu-aarch64-static qemu-aarch64)
if(IPC_QEMU_AARCH64)
    set(CMAKE_CROSSCOMPILING_EMULATOR "${IPC_QEMU_AARCH64};-L;/usr/aarch64-linux-gnu")
endif()
