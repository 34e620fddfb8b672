#pragma once

#include <string>

#include <gtest/gtest.h>

#include "ipc/inspect.hpp"

namespace ipc::test {

/// What inspect() says of one group; an empty report, and a failure, when there is none.
inline GroupReport report_of(const std::string& channel, const std::string& group) {
    const ChannelReport report = inspect(channel);
    const GroupReport* found = report.find_group(group);
    if (found != nullptr) return *found;
    ADD_FAILURE() << "no group " << group;
    return {};
}

}  // namespace ipc::test
