// ipc-monitor in a terminal (tmux), watching real processes as they come, stop, die and go.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ipc/ipc.hpp"
#include "tests/support/child.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/shell.hpp"

namespace ipc::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double patience = 90;  // seconds, on a machine that has other things to do

/// A place for channels of this test alone; named before the library looks for one.
const std::string directory = [] {
    std::string path = "/dev/shm/monitor_screen_test." + std::to_string(::getpid());
    ::setenv("IPC_DIRECTORY", path.c_str(), 1);
    return path;
}();

/// Whether a sequence ESC [ N ; ... m of the text chooses a colour.
bool sets_a_colour(const std::string& text) {
    const auto is_colour = [](int code) {
        return (code >= 30 && code <= 38) || (code >= 40 && code <= 48) ||
               (code >= 90 && code <= 97);
    };
    for (std::size_t at = text.find("\x1b["); at != std::string::npos;
         at = text.find("\x1b[", at)) {
        bool found = false;
        int code = 0;
        for (at += 2; at < text.size() && (std::isdigit(text[at]) != 0 || text[at] == ';'); ++at) {
            if (text[at] == ';') {
                found |= is_colour(code);
                code = 0;
            } else {
                code = std::min(code * 10 + (text[at] - '0'), 1000);
            }
        }
        if (at < text.size() && text[at] == 'm' && (found || is_colour(code))) return true;
    }
    return false;
}

/// A terminal emulator with a shell in it.
class Terminal {
public:
    Terminal(int width, int height) : shell_("monitor-screen") {
        EXPECT_EQ(tmux("-f /dev/null new-session -d -x " + std::to_string(width) + " -y " +
                       std::to_string(height) +
                       " 'env PS1=\"ready> \" PATH=\"" IPC_TOOL_DIRECTORY
                       ":$PATH\" LC_ALL=C.UTF-8 bash --norc --noprofile -i'")
                      .exit_code,
                  0);
        tmux("set-option -g default-terminal tmux-256color");
        EXPECT_TRUE(shows("ready>"));
    }
    ~Terminal() { tmux("kill-server"); }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    Shell::Result tmux(const std::string& command) const {
        return shell_.run("unset TMUX; LC_ALL=C.UTF-8 IPC_DIRECTORY=" + directory +
                          " tmux -u -S socket " + command);
    }
    void press(const std::string& keys) const { tmux("send-keys " + keys); }
    void type(const std::string& text) const { tmux("send-keys -l '" + text + "'"); }
    void enter(const std::string& command) const {
        type(command);
        press("Enter");
    }
    std::string screen() const { return tmux("capture-pane -p").out; }
    std::string variable(const std::string& name) const {
        return tmux("display-message -p '#{" + name + "}'").out;
    }

    /// Waits until the screen is as wanted.
    bool becomes(const std::function<bool(const std::string&)>& wanted) const {
        return eventually([&] { return wanted(screen()); }, patience);
    }
    bool shows(const std::string& text) const {
        return becomes([&](const std::string& now) { return contains(now, text); });
    }
    bool hides(const std::string& text) const {
        return becomes([&](const std::string& now) { return !contains(now, text); });
    }
    /// A line that holds all these texts.
    bool shows_line(const std::string& first, const std::string& second) const {
        return becomes([&](const std::string& now) {
            std::size_t begin = 0;
            while (begin < now.size()) {
                const std::size_t end = std::min(now.find('\n', begin), now.size());
                const std::string line = now.substr(begin, end - begin);
                if (contains(line, first) && contains(line, second)) return true;
                begin = end + 1;
            }
            return false;
        });
    }
    std::string file(const std::string& name) const { return read_file(shell_.file(name)); }

private:
    Shell shell_;
};

class MonitorScreen : public ::testing::Test {
protected:
    void SetUp() override {
        if (::system("command -v tmux > /dev/null") != 0) {
            GTEST_SKIP() << "needs tmux (tools/install-packages.sh test)";
        }
    }
    void TearDown() override {
        for (const std::string& channel : list())
            remove(channel);
    }
};

/// Waits for the end of this child, working on whatever comes.
void work(const std::string& channel, std::chrono::milliseconds service) {
    auto worker = Channel<>::open(channel, {.wait = 10s})
                      .join("workers", {.ack = Ack::manual, .participant = {.name = "worker"}});
    while (auto message = worker.receive()) {
        std::this_thread::sleep_for(service);
        (void)message.ack();
    }
}

void produce(const std::string& channel, std::chrono::milliseconds pause) {
    auto producer = Channel<>::open(channel, {.wait = 10s}).producer({.name = "source"});
    while (producer.send("work"))
        std::this_thread::sleep_for(pause);
}

TEST_F(MonitorScreen, FollowsAScenarioOfRealProcesses) {
    const Terminal terminal(130, 30);
    terminal.enter("ipc-monitor --interval 0.1");
    ASSERT_TRUE(terminal.shows("There are no channels")) << terminal.screen();

    // Work that goes well.
    Channel<>::create("good");
    Child worker([] { work("good", 1ms); });
    Child source([] { produce("good", 20ms); });
    ASSERT_TRUE(terminal.shows_line("ok ", "good")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("1 channel, 1 group")) << terminal.screen();

    // Its only worker is stopped.
    worker.stop();
    ASSERT_TRUE(terminal.shows_line("STOP", "good")) << terminal.screen();
    EXPECT_TRUE(
        terminal.shows("member worker (pid " + std::to_string(worker.pid()) + ") is stopped"))
        << terminal.screen();
    worker.resume();
    ASSERT_TRUE(terminal.shows_line("ok ", "good")) << terminal.screen();

    // A worker is killed at its work, and another takes it over.
    Channel<>::create("fatal");
    { auto group = Channel<>::open("fatal").join("workers", {.ack = Ack::manual}); }
    ASSERT_TRUE(Channel<>::open("fatal").producer().send("work"));
    Child victim([] { work("fatal", 1h); });
    ASSERT_TRUE(eventually([] { return inspect("fatal").find_group("workers")->in_flight == 1; },
                           patience));
    ASSERT_TRUE(terminal.shows_line("ok ", "fatal")) << terminal.screen();
    victim.kill();
    Child heir([] { work("fatal", 1ms); });
    ASSERT_TRUE(terminal.shows_line("DEAD", "fatal")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("member worker (pid " + std::to_string(victim.pid()) + ") died"))
        << terminal.screen();

    // A producer that has no room, because of one message.
    Channel<>::create("narrow", {.capacity = 2});
    Child sluggard([] { work("narrow", 1h); });
    ASSERT_TRUE(eventually([] { return inspect("narrow").groups.size() == 1; }, patience));
    Child blocked([] { produce("narrow", 1ms); });
    ASSERT_TRUE(terminal.shows_line("FULL", "narrow")) << terminal.screen();

    // A worker that is too slow for what comes; that takes a window to be sure of.
    Channel<>::create("slow");
    Child tortoise([] { work("slow", 200ms); });
    ASSERT_TRUE(eventually([] { return inspect("slow").groups.size() == 1; }, patience));
    Child hare([] { produce("slow", 50ms); });
    ASSERT_TRUE(terminal.shows_line("SLOW", "slow")) << terminal.screen();

    // The selected line says why.
    terminal.press("/");
    terminal.type("narrow");
    ASSERT_TRUE(terminal.hides("fatal")) << terminal.screen();
    terminal.press("Enter");
    EXPECT_TRUE(terminal.shows("producers wait for group workers: member worker (pid " +
                               std::to_string(sluggard.pid()) + ") holds message 0"))
        << terminal.screen();

    // The detail, with everybody who takes part.
    terminal.press("Enter");
    EXPECT_TRUE(terminal.shows("= T_p + L_q / C")) << terminal.screen();
    EXPECT_TRUE(terminal.shows_line("member", std::to_string(sluggard.pid()))) << terminal.screen();
    EXPECT_TRUE(terminal.shows_line(std::to_string(blocked.pid()), "no room")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("memory ")) << terminal.screen();
    terminal.press("Escape");
    EXPECT_TRUE(terminal.shows("STATE")) << terminal.screen();
    terminal.press("Escape");
    EXPECT_TRUE(terminal.shows("fatal")) << terminal.screen();

    // The others of that detail: what is predicted for the slow one.
    terminal.press("/");
    terminal.type("slow");
    ASSERT_TRUE(terminal.hides("fatal")) << terminal.screen();
    terminal.press("Enter");
    terminal.press("Enter");
    EXPECT_TRUE(terminal.shows_line("T_r", "for a message sent now")) << terminal.screen();
    EXPECT_TRUE(terminal.shows("utilisation")) << terminal.screen();
    terminal.press("q");
    terminal.press("Escape");

    // The tree, the help, and a pause.
    terminal.press("t");
    EXPECT_TRUE(terminal.shows("└─ workers")) << terminal.screen();
    terminal.press("t");
    EXPECT_TRUE(terminal.hides("└─ workers")) << terminal.screen();
    terminal.press("?");
    EXPECT_TRUE(terminal.shows("States, judged over")) << terminal.screen();
    terminal.press("x");
    terminal.press("p");
    EXPECT_TRUE(terminal.shows("PAUSED")) << terminal.screen();
    terminal.press("p");
    EXPECT_TRUE(terminal.hides("PAUSED")) << terminal.screen();
    terminal.press("+");
    terminal.press("-");
    EXPECT_TRUE(terminal.shows("every 200ms")) << terminal.screen();

    // Channels that vanish, are no channels, or belong to others.
    hare.kill();
    tortoise.kill();
    remove("slow");
    EXPECT_TRUE(terminal.hides("slow ")) << terminal.screen();
    write_file(directory + "/ipc.junk", "not a channel");
    EXPECT_TRUE(terminal.shows_line("n/a", "junk")) << terminal.screen();
    if (::geteuid() == 0) {
        Channel<>::create("theirs");
        ASSERT_EQ(::chown((directory + "/ipc.theirs").c_str(), 12345, 12345), 0);
        EXPECT_TRUE(terminal.shows_line("theirs", "belongs to user 12345")) << terminal.screen();
    }

    terminal.press("q");
    EXPECT_TRUE(terminal.shows("ready>")) << terminal.screen();
}

TEST_F(MonitorScreen, AdaptsToTheSizeOfTheTerminal) {
    const Terminal terminal(120, 30);
    Channel<>::create("jobs");
    { auto group = Channel<>::open("jobs").join("workers"); }
    terminal.enter("ipc-monitor --interval 0.1");
    ASSERT_TRUE(terminal.shows_line("CHANNEL", "FLIGHT")) << terminal.screen();
    terminal.tmux("resize-window -x 60 -y 12");
    EXPECT_TRUE(terminal.becomes([](const std::string& screen) {
        return contains(screen, "BACKLOG") && !contains(screen, "FLIGHT") &&
               contains(screen, "q quit");
    })) << terminal.screen();
    terminal.tmux("resize-window -x 170 -y 40");
    EXPECT_TRUE(terminal.shows_line("BACKLOG", "T_r50")) << terminal.screen();
    terminal.press("q");
    EXPECT_TRUE(terminal.shows("ready>")) << terminal.screen();
}

TEST_F(MonitorScreen, LeavesTheTerminalAsItWasHoweverItEnds) {
    const Terminal terminal(80, 24);
    terminal.enter("ulimit -c 0; stty -g > before");
    // By a key; by signals one may send; by an error of its own. `kill -9` leaves nothing to do it.
    for (const std::string end :
         {"q",    "C-c",  "INT",    "TERM", "HUP",  "QUIT", "SEGV", "ABRT", "BUS",  "FPE", "USR1",
          "USR2", "ALRM", "VTALRM", "PROF", "TRAP", "XFSZ", "XCPU", "PWR",  "POLL", "ILL", "SYS"}) {
        terminal.enter("clear; ipc-monitor --interval 0.1; echo ended with $?");
        ASSERT_TRUE(terminal.shows("There are no channels")) << end << terminal.screen();
        EXPECT_EQ(terminal.variable("alternate_on"), "1\n");
        EXPECT_EQ(terminal.variable("cursor_flag"), "0\n");
        if (end.size() == 1 || end == "C-c") {
            terminal.press(end);
        } else {
            // The one that tmux's shell started; there may be others on this host.
            terminal.tmux("run-shell 'pkill -" + end + " -P #{pane_pid} ipc-monitor'");
        }
        ASSERT_TRUE(terminal.becomes([](const std::string& screen) {
            return !contains(screen, "There are no channels") && contains(screen, "ready>");
        })) << end
            << terminal.screen();
        EXPECT_EQ(terminal.variable("alternate_on"), "0\n") << end;
        EXPECT_EQ(terminal.variable("cursor_flag"), "1\n") << end;
        EXPECT_EQ(terminal.variable("mouse_any_flag"), "0\n") << end;
        EXPECT_EQ(terminal.variable("keypad_flag"), "0\n") << end;
        terminal.enter("clear; stty -g > after; echo compared: $(cmp before after && echo same)");
        EXPECT_TRUE(terminal.shows("compared: same")) << end << terminal.screen();
    }
}

TEST_F(MonitorScreen, EndsWithItsTerminalThoughItIgnoresHangups) {
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ASSERT_GE(master, 0);
    ASSERT_EQ(::grantpt(master), 0);
    ASSERT_EQ(::unlockpt(master), 0);
    const winsize size = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::ioctl(master, TIOCSWINSZ, &size), 0);
    const std::string name = ::ptsname(master);
    Child monitor([&] {
        ::signal(SIGHUP, SIG_IGN);
        ::setsid();
        const int terminal = ::open(name.c_str(), O_RDWR);
        for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
            ::dup2(terminal, stream);
        ::setenv("TERM", "xterm", 1);
        ::execl(IPC_TOOL_DIRECTORY "/ipc-monitor", "ipc-monitor", "--interval", "0.1", nullptr);
    });
    std::string seen;
    while (!contains(seen, "There are no channels")) {
        std::array<char, 4096> part;
        const ssize_t length = ::read(master, part.data(), part.size());
        ASSERT_GT(length, 0) << seen;
        seen.append(part.data(), static_cast<std::size_t>(length));
    }
    ::close(master);
    ASSERT_TRUE(eventually([&] { return !monitor.is_running(); }, patience));
    EXPECT_EQ(monitor.wait(), 128 + SIGHUP);
}

TEST_F(MonitorScreen, GivesTheTerminalBackWhileItIsStopped) {
    const Terminal terminal(80, 24);
    terminal.enter("ipc-monitor --interval 0.1");
    for (int round = 0; round < 2; ++round) {
        ASSERT_TRUE(terminal.shows("There are no channels")) << terminal.screen();
        terminal.press("C-z");
        ASSERT_TRUE(terminal.becomes([](const std::string& screen) {
            return contains(screen, "Stopped") && !contains(screen, "There are no channels");
        })) << terminal.screen();
        EXPECT_EQ(terminal.variable("alternate_on"), "0\n");
        EXPECT_EQ(terminal.variable("cursor_flag"), "1\n");
        terminal.enter("clear; stty -a | grep -o '[-]*icanon'; echo asked");
        EXPECT_TRUE(terminal.shows("asked"));
        EXPECT_THAT(terminal.screen(), Not(HasSubstr("-icanon")));
        terminal.tmux("resize-window -x 100 -y 20");
        terminal.enter("clear; fg");
    }
    ASSERT_TRUE(terminal.shows("q quit")) << terminal.screen();
    terminal.press("q");
    EXPECT_TRUE(terminal.shows("ready>")) << terminal.screen();
}

// ncurses would, with its own handlers: a Ctrl-Z that came meanwhile was lost.
TEST_F(MonitorScreen, DoesNotIgnoreTheWishToStopWhileItDraws) {
    const Terminal terminal(80, 24);
    terminal.enter("ipc-monitor --interval 0.1");
    ASSERT_TRUE(terminal.shows("There are no channels")) << terminal.screen();
    std::string shell = terminal.variable("pane_pid");
    shell.pop_back();  // the end of the line
    std::string monitor = read_file("/proc/" + shell + "/task/" + shell + "/children");
    ASSERT_FALSE(monitor.empty());
    monitor.pop_back();
    std::atomic<bool> done = false;
    std::jthread hand([&] {
        for (int i = 0; i < 200; ++i)
            terminal.press("r");  // sorts the other way, and draws
        done = true;
    });
    while (!done) {
        const std::string status = read_file("/proc/" + monitor + "/status");
        const std::size_t at = status.find("SigIgn:");
        ASSERT_NE(at, std::string::npos) << status;
        const std::uint64_t ignored = std::stoull(status.substr(at + 7), nullptr, 16);
        ASSERT_EQ(ignored >> (SIGTSTP - 1) & 1, 0);
    }
    terminal.press("q");
    EXPECT_TRUE(terminal.shows("ready>")) << terminal.screen();
}

TEST_F(MonitorScreen, NeedsNoColoursAndNoCharactersBeyondAscii) {
    const Terminal terminal(100, 20);
    Channel<>::create("jobs");
    { auto group = Channel<>::open("jobs").join("workers"); }
    ASSERT_TRUE(Channel<>::open("jobs").producer().send("work"));
    const auto has_colours = [&] { return sets_a_colour(terminal.tmux("capture-pane -p -e").out); };
    terminal.enter("ipc-monitor --interval 0.1");
    ASSERT_TRUE(terminal.shows_line("STOP", "jobs")) << terminal.screen();
    EXPECT_TRUE(has_colours());
    EXPECT_THAT(terminal.screen(), HasSubstr("▏"));
    terminal.press("q");
    EXPECT_TRUE(terminal.hides("STOP"));
    for (const char* command : {"NO_COLOR=1 ipc-monitor --interval 0.1 --ascii",
                                "NO_COLOR=1 LC_ALL=C ipc-monitor --interval 0.1"}) {
        terminal.enter(std::string("clear; ") + command);
        ASSERT_TRUE(terminal.shows_line("STOP", "jobs")) << terminal.screen();
        EXPECT_FALSE(has_colours());
        for (const char c : terminal.screen())
            EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << terminal.screen();
        terminal.press("q");
        EXPECT_TRUE(terminal.hides("STOP"));
    }
}

/// The place exists while tests run.
class Directory : public ::testing::Environment {
    void SetUp() override { std::filesystem::create_directory(directory); }
    void TearDown() override { std::filesystem::remove_all(directory); }
};
const auto* const cleanup = ::testing::AddGlobalTestEnvironment(new Directory);

}  // namespace
}  // namespace ipc::test
