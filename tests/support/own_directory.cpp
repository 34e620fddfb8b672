#include "tests/support/own_directory.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace ipc::test {

OwnDirectory::OwnDirectory() : owner_(::getpid()) {
    if (::getenv("IPC_DIRECTORY") != nullptr) return;
    char path[] = "/dev/shm/ipc-test.XXXXXX";
    if (::mkdtemp(path) == nullptr) {
        throw std::system_error(errno, std::system_category(), "make a directory for channels");
    }
    path_ = path;
    ::setenv("IPC_DIRECTORY", path, 1);
}

OwnDirectory::~OwnDirectory() {
    std::error_code ignored;
    if (!path_.empty() && ::getpid() == owner_) std::filesystem::remove_all(path_, ignored);
}

}  // namespace ipc::test
