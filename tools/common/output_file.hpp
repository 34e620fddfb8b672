#pragma once

#include <string>

namespace ipc::tools {

/// Throws a Failure when `replace_file` could not write there: better known before the work than
/// after it. Leaves nothing behind, and what is there as it is.
void expect_writable(const std::string& path);

/// Writes a file whole or not at all: who is interrupted, or finds the disk full, keeps what was
/// there. Only a file is replaced; what else has that name (a pipe, a terminal, a link) is written
/// to. Throws a Failure.
void replace_file(const std::string& path, const std::string& text);

}  // namespace ipc::tools
