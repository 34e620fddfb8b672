#include "tests/support/shell.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <ostream>
#include <system_error>

namespace ipc::test {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_file(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

Shell::Shell(const std::string& purpose) {
    const std::string name = "ipc-" + purpose + "." + std::to_string(::getpid());
    files_ = fs::temp_directory_path() / name;
    channels_ = fs::path("/dev/shm") / name;
    fs::create_directories(files_);
    fs::create_directories(channels_);
}

Shell::~Shell() {
    std::error_code ignored;
    fs::remove_all(files_, ignored);
    fs::remove_all(channels_, ignored);
}

Shell::Result Shell::run(const std::string& script, int seconds) const {
    const std::string base = files_.string() + "/.";  // not in the script's way
    write_file(base + "script", "export IPC_DIRECTORY='" + channels_.string() + "'\ncd '" +
                                    files_.string() + "'\nset -euo pipefail\n" + script + "\n");
    const std::string command = "timeout -k 5 " + std::to_string(seconds) + " bash '" + base +
                                "script' > '" + base + "stdout' 2> '" + base +
                                "stderr' < /dev/null";
    const int status = std::system(command.c_str());
    return {WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
            read_file(base + "stdout"), read_file(base + "stderr")};
}

std::ostream& operator<<(std::ostream& stream, const Shell::Result& result) {
    return stream << "exit code " << result.exit_code << "\nstdout: " << result.out
                  << "\nstderr: " << result.err;
}

}
