#pragma once

#include <string>

namespace ipc::test {

/// Lets the channels of this process live in a directory of their own, so that it may look at, or
/// tidy up, "all channels" while others run. To be made before anything else of the library is
/// used. Does nothing when IPC_DIRECTORY is set already. The directory goes with the object.
class OwnDirectory {
public:
    OwnDirectory();
    ~OwnDirectory();
    OwnDirectory(const OwnDirectory&) = delete;
    OwnDirectory& operator=(const OwnDirectory&) = delete;

private:
    std::string path_;
    int owner_;
};

}  // namespace ipc::test
