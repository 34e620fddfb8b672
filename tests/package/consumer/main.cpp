// Uses ipc as a program of another project would. It calls into the library and catches an
// exception that crosses its border, so that hidden symbols or type information show.

#include <iostream>

#include <ipc/ipc.hpp>

int main() {
    try {
        throw ipc::Error(ipc::Errc::not_found, "package-test", "no such channel");
    } catch (const std::system_error& error) {
        if (error.code() != ipc::Errc::not_found) {
            return 1;
        }
        std::cout << error.what() << '\n' << ipc::to_string(ipc::Status::timed_out) << '\n';
    }
    return 0;
}
