#include "tools/common/open_channel.hpp"

#include <fmt/core.h>

#include "ipc/base/error.hpp"
#include "tools/common/failure.hpp"

namespace ipc::tools {

using namespace std::chrono_literals;

void fail_missing(const std::string& channel, const std::string& remedy) {
    throw Failure(
        fmt::format("channel {}: does not exist; check the name (ipc-monitor --once lists all){}{}",
                    channel, remedy.empty() ? "" : ", or ", remedy));
}

Channel<> open_existing(const std::string& name, const OpenOptions& options,
                        const std::string& remedy) {
    try {
        return Channel<>::open(name, options);
    } catch (const Error& error) {
        if (error.code() != Errc::not_found) throw;
        fail_missing(name, remedy);
    }
}

Channel<> wait_for_channel(const Tool& tool, const Signals& signals, const std::string& name,
                           const OpenOptions& options,
                           std::optional<std::chrono::nanoseconds> wait) {
    const auto start = std::chrono::steady_clock::now();
    bool told = false;
    while (true) {
        try {
            return Channel<>::open(name, options);
        } catch (const Error& error) {
            const auto waited = std::chrono::steady_clock::now() - start;
            if (error.code() != Errc::not_found) throw;
            if (wait && waited >= *wait) fail_missing(name, "wait for it (--wait)");
            if (waited >= 1s && !told) {
                tool.notice(fmt::format("waiting for channel {}", name));
                told = true;
            }
        }
        signals.sleep(10ms);
    }
}

void fail(const Signals& signals, const std::string& channel, Status status) {
    const auto failure = [&channel](std::string_view what) {
        return Failure(fmt::format("channel {}: {}", channel, what));
    };
    switch (status) {
        case Status::interrupted: signals.check(); break;
        case Status::closed:
            throw failure(fmt::format("is closed; ipc-rm {} makes room for a new one", channel));
        case Status::removed: throw failure("was removed while in use; start again");
        case Status::too_large:
            throw failure(
                "the message is too large; create the channel with a larger --region-size");
        case Status::wrong_size:
            throw failure(
                "it carries objects of one type, and the message is not as long as that; send "
                "blocks of its size (--size)");
        default: break;
    }
    throw failure(to_string(status));
}

}  // namespace ipc::tools
