#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/monitor/canvas.hpp"
#include "tools/monitor/view.hpp"

namespace ipc::tools::monitor {

/// The terminal as a screen of cells (ncursesw), from its construction to its destruction. However
/// the process ends, except by SIGKILL, the terminal is as it was before; so it is while the
/// process is stopped (SIGTSTP). There can be one at a time.
///
/// Uses SIGTSTP, SIGCONT, SIGWINCH, and those that kill by default. SIGINT, SIGTERM and SIGHUP stay
/// with `Signals`.
class Terminal {
public:
    /// Nothing when this terminal cannot move its cursor (TERM=dumb), or standard input or output
    /// is none. `colours`: use them if there are any.
    static std::unique_ptr<Terminal> open(bool colours);

    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;
    ~Terminal();

    Size size() const;
    /// Whether characters beyond ASCII arrive: the locale says so.
    bool speaks_unicode() const;
    void draw(const Canvas& canvas);
    /// Waits until there are keys, the screen has to be drawn again, or the time has come; also
    /// returns, without keys, when a signal arrives. A terminal that is gone counts as a SIGHUP,
    /// also where that is ignored.
    std::vector<Key> wait(std::optional<std::chrono::steady_clock::time_point> until);

private:
    explicit Terminal(bool colours);

    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace ipc::tools::monitor
