#pragma once

#include <stdexcept>

namespace ipc::tools {

/// What a tool could not do, as the line its user gets: subject, cause, and remedy if there is one.
class Failure : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace ipc::tools
