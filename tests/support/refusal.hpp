#pragma once

#include <string>

#include <gtest/gtest.h>

#include "ipc/base/error.hpp"

namespace ipc::test {

/// Why `action` was refused; a failure of the test when it was not. `what` gets the error's line.
template <class Action>
Errc refusal(Action&& action, std::string* what = nullptr) {
    try {
        action();
    } catch (const Error& error) {
        if (what != nullptr) *what = error.what();
        return static_cast<Errc>(error.code().value());
    }
    ADD_FAILURE() << "was not refused";
    return {};
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace ipc::test
