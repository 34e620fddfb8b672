#include "ipc/base/error.hpp"

#include <cstddef>
#include <new>

namespace ipc::inline v1 {
namespace {

class Category final : public std::error_category {
public:
    const char* name() const noexcept override { return "ipc"; }
    std::string message(int value) const override {
        switch (static_cast<Errc>(value)) {
            case Errc::bad_name: return "bad name";
            case Errc::bad_options: return "bad options";
            case Errc::not_found: return "not found";
            case Errc::already_exists: return "already exists";
            case Errc::options_differ: return "options differ";
            case Errc::type_differs: return "message type differs";
            case Errc::incompatible: return "incompatible version";
            case Errc::corrupt: return "not a channel or damaged";
            case Errc::foreign_owner: return "owned by another user";
            case Errc::permission_denied: return "permission denied";
            case Errc::no_space: return "no space in shared memory";
            case Errc::limit_reached: return "limit reached";
            case Errc::producer_lives: return "another producer lives";
            case Errc::timed_out: return "timed out";
            case Errc::removed: return "removed";
            case Errc::forked: return "used after fork";
            case Errc::system: return "system call failed";
        }
        return "unknown error";
    }
};

}  // namespace

const std::error_category& error_category() noexcept {
    // In place and never destroyed: handles may outlive statics.
    alignas(Category) static std::byte storage[sizeof(Category)];
    static const Category& category = *new (storage) Category;
    return category;
}

std::error_code make_error_code(Errc errc) noexcept {
    return {static_cast<int>(errc), error_category()};
}

Error::Error(Errc errc, const std::string& channel, const std::string& what,
             const std::string& remedy)
    : std::system_error(make_error_code(errc)),
      channel_(channel),
      line_((channel.empty() ? std::string("ipc") : "channel " + channel) + ": " + what +
            (remedy.empty() ? std::string() : "; " + remedy)) {}

}  // namespace ipc::inline v1
