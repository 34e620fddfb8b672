#pragma once

#include <cerrno>
#include <system_error>

namespace ipc::inline v1::os {

/// Throws the system's error `code` as std::system_error; `operation` says in a few words what was
/// tried. The layer above adds which channel it was tried for.
[[noreturn]] inline void fail(const char* operation, int code = errno) {
    throw std::system_error(code, std::system_category(), operation);
}

/// Repeats a system call that a signal interrupted, so that signal handlers of the program never
/// show up as errors of this library.
template <typename Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result == -1 && errno == EINTR)
        result = call();
    return result;
}

}  // namespace ipc::inline v1::os
