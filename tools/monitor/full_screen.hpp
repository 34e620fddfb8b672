#pragma once

#include "tools/common/signals.hpp"
#include "tools/monitor/source.hpp"
#include "tools/monitor/view.hpp"

namespace ipc::tools::monitor {

struct FullScreenOptions {
    bool ascii = false;  ///< no characters beyond ASCII, whatever the terminal can show
    bool colours = true;
    View view;  ///< what it begins with
};

/// Shows what the source has on the terminal until the user has seen enough. False, at once, when
/// there is no terminal that can show it.
bool show_full_screen(Source& source, const Signals& signals, const FullScreenOptions& options);

}  // namespace ipc::tools::monitor
