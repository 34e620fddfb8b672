#include "ipc/base/status.hpp"

namespace ipc::inline v1 {

std::string_view to_string(Status status) noexcept {
    switch (status) {
        case Status::ok: return "ok";
        case Status::full: return "full";
        case Status::empty: return "empty";
        case Status::timed_out: return "timed out";
        case Status::closed: return "closed";
        case Status::interrupted: return "interrupted";
        case Status::removed: return "removed";
        case Status::too_large: return "too large";
        case Status::wrong_size: return "not of the size of the channel's type";
        case Status::own_loan: return "space held by own loan";
        case Status::lease_lost: return "lease lost";
        case Status::not_leased: return "not leased";
    }
    return "unknown status";
}

}  // namespace ipc::inline v1
