// The entry points of libFuzzer; FUZZ_TARGET is one of the functions of fuzz.hpp.

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "tests/fuzz/fuzz.hpp"
#include "tests/support/own_directory.hpp"

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
    static const ipc::test::OwnDirectory directory;
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
