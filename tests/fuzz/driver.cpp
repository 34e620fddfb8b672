// The entry points of libFuzzer; FUZZ_TARGET is one of the functions of fuzz.hpp.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>

#include "tests/fuzz/fuzz.hpp"

namespace {

std::string directory;

void remove_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
    // Channels of its own, in memory; gone with this process even when an input kills a run of it.
    if (std::getenv("IPC_DIRECTORY") == nullptr) {
        char name[] = "/dev/shm/ipc-fuzz.XXXXXX";
        if (::mkdtemp(name) == nullptr) std::abort();
        directory = name;
        ::setenv("IPC_DIRECTORY", name, 1);
        std::atexit(remove_directory);
    }
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        ipc::fuzz::FUZZ_TARGET({data, size});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "FAILED: %s\n", error.what());
        std::abort();  // libFuzzer keeps the input
    }
    return 0;
}
