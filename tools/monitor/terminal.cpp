#include "tools/monitor/terminal.hpp"

#include <fcntl.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <clocale>
#include <cstdlib>
#include <map>
#include <string_view>

// Functions instead of macros that have the names of common words.
#define NCURSES_NOMACROS 1
#define NCURSES_WIDECHAR 1
#include <ncurses.h>

#include "tools/common/signals.hpp"
#include "tools/monitor/terminal_capability.hpp"

namespace ipc::tools::monitor {
namespace {

// --- restoring the terminal, whatever happens ---------------------------------------------------

/// What has to be written, and which mode set, to have the terminal as it was. Constant while
/// `is_ours`; a signal handler reads it.
struct Before {
    termios mode;
    std::array<char, 256> text;
    std::size_t length;
};
Before before;
std::atomic<bool> is_ours = false;

/// Only what a signal handler may call.
void restore_at_once() {
    if (!is_ours.exchange(false)) return;
    std::size_t written = 0;
    while (written < before.length) {
        const ssize_t count =
            ::write(STDOUT_FILENO, before.text.data() + written, before.length - written);
        if (count <= 0) break;
        written += static_cast<std::size_t>(count);
    }
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before.mode);
}

/// Those that end a process unless it does something about them, but for SIGKILL, and for those of
/// `Signals`.
bool is_deadly(int signal) {
    constexpr std::array others = {SIGKILL, SIGHUP,  SIGINT,  SIGTERM, SIGPIPE, SIGSTOP, SIGTSTP,
                                   SIGTTIN, SIGTTOU, SIGCONT, SIGCHLD, SIGURG,  SIGWINCH};
    return std::find(others.begin(), others.end(), signal) == others.end();
}

std::map<int, struct sigaction> deadly_before;

// SA_RESETHAND: raised again, the signal does what it did without this handler.
void on_deadly_signal(int signal) {
    restore_at_once();
    ::raise(signal);
}

void take_deadly_signals() {
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
        struct sigaction old = {};
        // The C library keeps some for itself, and says so here. What is ignored ends nothing.
        if (!is_deadly(signal) || ::sigaction(signal, nullptr, &old) != 0) continue;
        if (old.sa_handler == SIG_IGN) continue;
        struct sigaction action = {};
        action.sa_handler = on_deadly_signal;
        action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
        if (::sigaction(signal, &action, nullptr) == 0) deadly_before.emplace(signal, old);
    }
}

void give_back_deadly_signals() {
    for (const auto& [signal, action] : deadly_before)
        ::sigaction(signal, &action, nullptr);
    deadly_before.clear();
}

// --- signals that concern the screen ------------------------------------------------------------

// Written to by handlers, polled by the main thread: a signal between two of its steps is not
// missed.
std::array<int, 2> wake_pipe = {-1, -1};
std::atomic<bool> stop_wanted = false;

void on_screen_signal(int signal) {
    const int kept = errno;
    if (signal == SIGTSTP) stop_wanted = true;
    const char byte = 0;
    (void)!::write(wake_pipe[1], &byte, 1);
    errno = kept;
}

constexpr std::array screen_signals = {SIGTSTP, SIGCONT, SIGWINCH};
std::array<struct sigaction, screen_signals.size()> screen_signals_before;

void take_screen_signals() {
    for (std::size_t i = 0; i < screen_signals.size(); ++i) {
        struct sigaction action = {};
        action.sa_handler = on_screen_signal;
        action.sa_flags = SA_RESTART;
        ::sigaction(screen_signals[i], &action, &screen_signals_before[i]);
        // Nobody there who could continue it.
        if (screen_signals[i] == SIGTSTP && screen_signals_before[i].sa_handler == SIG_IGN) {
            ::sigaction(SIGTSTP, &screen_signals_before[i], nullptr);
        }
    }
}

/// As if SIGTSTP had not been caught; returns when the process is continued.
void stop_here() {
    struct sigaction ours = {};
    ::sigaction(SIGTSTP, nullptr, &ours);
    ::signal(SIGTSTP, SIG_DFL);
    ::raise(SIGTSTP);
    ::sigaction(SIGTSTP, &ours, nullptr);
}

void give_back_screen_signals() {
    for (std::size_t i = 0; i < screen_signals.size(); ++i)
        ::sigaction(screen_signals[i], &screen_signals_before[i], nullptr);
}

// --- colours ------------------------------------------------------------------------------------

constexpr std::size_t hues = 9;

/// For terminals with 256 colours, and for those with 8; -1: the terminal's own.
constexpr std::array<short, hues> many_colours = {-1, 71, 179, 208, 203, 75, 80, 176, 244};
constexpr short selected_background = 237;
constexpr std::array<short, hues> few_colours = {-1,           COLOR_GREEN,   COLOR_YELLOW,
                                                 COLOR_YELLOW, COLOR_RED,     COLOR_CYAN,
                                                 COLOR_CYAN,   COLOR_MAGENTA, -1};

void make_colours() {
    ::start_color();
    ::use_default_colors();
    const bool many = COLORS >= 256;
    const auto& colours = many ? many_colours : few_colours;
    for (std::size_t i = 0; i < hues; ++i) {
        if (i > 0) ::init_pair(static_cast<short>(i), colours[i], -1);
        if (many) ::init_pair(static_cast<short>(hues + i), colours[i], selected_background);
        for (std::size_t behind = 1; behind < hues; ++behind) {
            ::init_pair(static_cast<short>((1 + behind) * hues + i), colours[i], colours[behind]);
        }
    }
}

short pair_of(Style style, bool colours) {
    if (!colours) return 0;
    const auto hue = static_cast<std::size_t>(style.hue);
    if (style.selected && COLORS >= 256) return static_cast<short>(hues + hue);
    const auto behind = static_cast<std::size_t>(style.behind);
    return static_cast<short>(behind == 0 ? hue : (1 + behind) * hues + hue);
}

attr_t attributes_of(Style style, bool colours) {
    attr_t attributes = A_NORMAL;
    if (style.bold) attributes |= A_BOLD;
    if (style.reverse) attributes |= A_REVERSE;
    if (style.selected && !(colours && COLORS >= 256)) attributes ^= A_REVERSE;
    if (style.hue == Hue::faint && (!colours || COLORS < 256) && !style.reverse) {
        attributes |= A_DIM;
    }
    return attributes;
}

// --- keys ---------------------------------------------------------------------------------------

std::optional<Key> key_of(wint_t code) {
    using Kind = Key::Kind;
    const auto key = [](Kind kind) { return Key{.kind = kind}; };
    switch (code) {
        case KEY_UP: return key(Kind::up);
        case KEY_DOWN: return key(Kind::down);
        case KEY_LEFT: return key(Kind::left);
        case KEY_RIGHT: return key(Kind::right);
        case KEY_PPAGE: return key(Kind::page_up);
        case KEY_NPAGE: return key(Kind::page_down);
        case KEY_HOME: return key(Kind::home);
        case KEY_END: return key(Kind::end);
        case KEY_ENTER: return key(Kind::enter);
        case KEY_BACKSPACE: return key(Kind::backspace);
        case KEY_MOUSE: {
            MEVENT event;
            if (::getmouse(&event) != OK) return std::nullopt;
            if ((event.bstate & BUTTON4_PRESSED) != 0) return key(Kind::up);
            if ((event.bstate & BUTTON5_PRESSED) != 0) return key(Kind::down);
            if ((event.bstate & BUTTON1_PRESSED) == 0) return std::nullopt;
            return Key{.kind = Kind::click,
                       .column = static_cast<std::size_t>(event.x),
                       .row = static_cast<std::size_t>(event.y)};
        }
        default: return std::nullopt;
    }
}

Key key_of_character(wint_t code) {
    using Kind = Key::Kind;
    switch (code) {
        case L'\r':
        case L'\n': return {.kind = Kind::enter};
        case L'\t': return {.kind = Kind::tab};
        case 27: return {.kind = Kind::escape};
        case 8:
        case 127: return {.kind = Kind::backspace};
        default: return {.kind = Kind::character, .character = static_cast<char32_t>(code)};
    }
}

}  // namespace

struct Terminal::State {
    SCREEN* screen = nullptr;
    bool colours = false;
    bool unicode = false;
};

std::unique_ptr<Terminal> Terminal::open(bool colours) {
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) return nullptr;
    if (terminal_capability("cup").empty()) return nullptr;
    std::unique_ptr<Terminal> terminal(new Terminal(colours));
    return terminal->state_->screen == nullptr ? nullptr : std::move(terminal);
}

Terminal::Terminal(bool colours) : state_(std::make_unique<State>()) {
    std::setlocale(LC_CTYPE, "");
    state_->unicode = std::string_view(::nl_langinfo(CODESET)) == "UTF-8";

    ::tcgetattr(STDIN_FILENO, &before.mode);
    std::string text;
    for (const char* capability : {"sgr0", "op", "cnorm", "rmkx"})
        text += terminal_capability(capability);
    text += "\x1b[?1000l\x1b[?1006l";  // no mouse; unknown ones are ignored
    text += terminal_capability("rmcup");
    before.length = std::min(text.size(), before.text.size());
    std::copy_n(text.data(), before.length, before.text.data());

    (void)!::pipe2(wake_pipe.data(), O_CLOEXEC | O_NONBLOCK);
    // Before ncurses, which leaves alone what is not the default. Its own act in whatever thread
    // runs them, and it would ignore SIGTSTP for as long as it draws: a Ctrl-Z would be lost.
    take_screen_signals();
    ::set_escdelay(25);
    state_->screen = ::newterm(nullptr, stdout, stdin);
    if (state_->screen == nullptr) {
        give_back_screen_signals();
        return;
    }
    is_ours = true;
    take_deadly_signals();
    Signals::before_sudden_end(restore_at_once);

    ::cbreak();
    ::noecho();
    ::nonl();
    ::curs_set(0);
    ::keypad(stdscr, TRUE);
    ::nodelay(stdscr, TRUE);
    ::leaveok(stdscr, TRUE);
    ::mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, nullptr);
    ::mouseinterval(0);
    state_->colours = colours && ::has_colors();
    if (state_->colours) make_colours();
}

Terminal::~Terminal() {
    if (state_->screen != nullptr) {
        ::endwin();
        ::delscreen(state_->screen);
        is_ours = false;
        Signals::before_sudden_end(nullptr);
        give_back_deadly_signals();
        give_back_screen_signals();
    }
    for (int& end : wake_pipe) {
        if (end >= 0) ::close(end);
        end = -1;
    }
}

Size Terminal::size() const {
    return {.width = static_cast<std::size_t>(COLS), .height = static_cast<std::size_t>(LINES)};
}

bool Terminal::speaks_unicode() const {
    return state_->unicode;
}

void Terminal::draw(const Canvas& canvas) {
    std::vector<cchar_t> line(canvas.width());
    for (std::size_t row = 0; row < canvas.height(); ++row) {
        for (std::size_t column = 0; column < canvas.width(); ++column) {
            const Cell& cell = canvas.at(column, row);
            const wchar_t text[] = {static_cast<wchar_t>(cell.character), L'\0'};
            ::setcchar(&line[column], text, attributes_of(cell.style, state_->colours),
                       pair_of(cell.style, state_->colours), nullptr);
        }
        ::mvadd_wchnstr(static_cast<int>(row), 0, line.data(), static_cast<int>(line.size()));
    }
    ::refresh();
}

std::vector<Key> Terminal::wait(std::optional<std::chrono::steady_clock::time_point> until) {
    using namespace std::chrono_literals;
    constexpr std::chrono::nanoseconds long_time = 1h;
    std::chrono::nanoseconds left = long_time;
    if (until)
        left = std::clamp(std::chrono::nanoseconds(*until - std::chrono::steady_clock::now()), 0ns,
                          long_time);
    const timespec timeout = {.tv_sec = left / 1s, .tv_nsec = (left % 1s).count()};
    std::array<pollfd, 2> events = {{{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                                     {.fd = wake_pipe[0], .events = POLLIN, .revents = 0}}};
    if (::ppoll(events.data(), events.size(), &timeout, nullptr) <= 0) return {};

    if (events[1].revents != 0) {
        std::array<char, 64> bytes;
        while (::read(wake_pipe[0], bytes.data(), bytes.size()) > 0) {
        }
        if (stop_wanted.exchange(false)) {
            ::endwin();
            is_ours = false;
            stop_here();
            is_ours = true;
        }
        // Continued, or of another size.
        winsize size = {};
        if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
            ::resizeterm(size.ws_row, size.ws_col);
        }
        ::clearok(curscr, TRUE);
        ::refresh();
    }
    std::vector<Key> keys;
    // It is readable for ever, and nothing comes of it. Whoever ignores SIGHUP finds out here.
    constexpr int gone = POLLHUP | POLLERR | POLLNVAL;
    if ((events[0].revents & gone) != 0) throw EndedBySignal{SIGHUP};
    if ((events[0].revents & POLLIN) == 0) return keys;
    wint_t code = 0;
    for (int kind = ::get_wch(&code); kind != ERR; kind = ::get_wch(&code)) {
        if (kind == KEY_CODE_YES) {
            if (const auto key = key_of(code)) keys.push_back(*key);
        } else {
            keys.push_back(key_of_character(code));
        }
    }
    return keys;
}

}  // namespace ipc::tools::monitor
