// Uses ipc as a program of another project would: sends a message and receives it. It also catches
// an exception that crosses the library's border, so that hidden symbols or type information show.

#include <unistd.h>

#include <iostream>
#include <string>

#include <ipc/ipc.hpp>

namespace {

int fail(const char* what) {
    std::cerr << "consumer: " << what << '\n';
    return 1;
}

}  // namespace

int main() {
    const std::string name = "package-test." + std::to_string(::getpid());
    try {
        static_cast<void>(ipc::Channel<>::open(name));
        return fail("a channel that does not exist was opened");
    } catch (const std::system_error& error) {
        if (error.code() != ipc::Errc::not_found) return fail(error.what());
        std::cout << error.what() << '\n' << ipc::to_string(ipc::Status::timed_out) << '\n';
    }

    const auto channel = ipc::Channel<>::create(name, {.capacity = 16, .temporary = true});
    auto worker = channel.join("workers", {.ack = ipc::Ack::manual});
    auto producer = channel.producer();
    if (!producer.send("hello")) return fail("nothing was sent");
    auto message = worker.receive();
    if (message.text() != "hello") return fail("another message was received than was sent");
    if (!message.ack()) return fail("the message was not acknowledged");
    if (worker.try_receive().status() != ipc::Status::empty)
        return fail("there is another message");
    if (ipc::inspect(name).published != 1) return fail("inspect counts wrongly");
    return 0;
}
