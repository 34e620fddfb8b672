#pragma once

#include <string_view>

namespace ipc::tools::monitor {

/// A column of a table, as its first line and the help name it.
struct ColumnTitle {
    std::string_view title;
    std::string_view meaning;
};

// The columns that the screen's overview and the plain table have in common.
namespace column {

inline constexpr ColumnTitle backlog = {"BACKLOG", "L_q: messages that wait for a member"};
inline constexpr ColumnTitle in_flight = {"FLIGHT", "in flight: handed out and not yet settled"};
inline constexpr ColumnTitle published = {"IN/s", "messages published"};
inline constexpr ColumnTitle delivered = {"OUT/s", "messages handed to members"};
inline constexpr ColumnTitle acked = {"ACK/s", "messages processed"};
inline constexpr ColumnTitle redelivered = {"REDEL", "deliveries beyond the first, in all"};
inline constexpr ColumnTitle lost = {"LOST",
                                     "missed by a lossy or late reader, or dropped, in all"};
inline constexpr ColumnTitle dead_lettered = {"DEADL", "dead-lettered, in all"};
inline constexpr ColumnTitle oldest = {"OLDEST", "age of the oldest message that is not settled"};
inline constexpr ColumnTitle members = {"MEMB", "members that live"};
inline constexpr ColumnTitle response = {
    "T_r=?", "response time predicted for a message published now, by who is busy"};

}  // namespace column

}  // namespace ipc::tools::monitor
