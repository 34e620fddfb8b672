#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "ipc/inspect.hpp"
#include "tools/monitor/history.hpp"

namespace ipc::tools::monitor {

// What programs read for the values of enumerations. People read label_of(State).

inline constexpr std::array<std::string_view, 4> role_names = {
    "shared_producer", "exclusive_producer", "member", "subscriber"};
inline constexpr std::array<std::string_view, 3> activity_names = {"running", "waiting_for_message",
                                                                   "waiting_for_room"};
inline constexpr std::array<std::string_view, 6> lease_kind_names = {
    "leased", "reserved", "returned", "delayed", "dead_rejected", "dead_exhausted"};
inline constexpr std::array<std::string_view, 7> state_names = {
    "dead", "stop", "full", "slow", "unreadable", "ok", "idle"};

constexpr const auto& names_of(ParticipantRole) {
    return role_names;
}
constexpr const auto& names_of(Activity) {
    return activity_names;
}
constexpr const auto& names_of(LeaseKind) {
    return lease_kind_names;
}
constexpr const auto& names_of(State) {
    return state_names;
}

template <class Enumeration>
constexpr std::string_view name_of(Enumeration value) {
    const auto& names = names_of(value);
    const auto index = static_cast<std::size_t>(value);
    return index < names.size() ? names[index] : "unknown";
}

}  // namespace ipc::tools::monitor
