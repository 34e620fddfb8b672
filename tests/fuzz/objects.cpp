// Files that are no channels, channels of any shape over arbitrary bytes, and channels with damaged
// words, cut short or lengthened: opened, watched, used by every role, removed. Each ends in an
// Error or works.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "ipc/ipc.hpp"
#include "ipc/os/shared_object.hpp"
#include "ipc/protocol/channel_memory.hpp"
#include "ipc/protocol/lifecycle.hpp"
#include "tests/fuzz/bytes.hpp"
#include "tests/fuzz/damage.hpp"
#include "tests/support/channel_name.hpp"
#include "tests/support/torn.hpp"
#include "tools/monitor/json.hpp"
#include "tools/monitor/live_source.hpp"
#include "tools/monitor/view.hpp"

namespace ipc::fuzz {
namespace {

using namespace std::chrono_literals;

/// A file under a channel's name.
class File {
public:
    explicit File(const std::string& channel)
        : path_(os::shared_memory_directory() + "/" + protocol::object_name(channel)),
          object_(os::TransientDescriptor::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600)) {
        if (!object_) throw std::runtime_error("cannot create " + path_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { ::unlink(path_.c_str()); }

    int descriptor() const { return object_.get(); }
    void write(const void* data, std::size_t size, std::uint64_t offset = 0) const {
        const ssize_t written = ::pwrite(descriptor(), data, size, static_cast<off_t>(offset));
        if (written != static_cast<ssize_t>(size))
            throw std::runtime_error("cannot write " + path_);
    }

private:
    std::string path_;
    os::TransientDescriptor object_;
};

/// What a channel with a type carries: in regions, for its alignment.
struct alignas(64) Wide {
    std::array<std::byte, 1024> content;
};

/// Sends as many bytes of them as the channel's messages may have.
template <class T>
Sent try_send(Producer<T>& producer, std::size_t size) {
    if constexpr (is_bytes<T>) {
        return producer.try_send(std::string(size, 'x'));
    } else {
        return producer.try_send(T{});
    }
}

/// A channel in which something of everything is going on, the dead included.
template <class T>
struct Template {
    format::Layout layout{};
    std::vector<std::byte> control;
    std::vector<std::byte> data;

    Template() {
        const test::ChannelName name("template");
        auto channel = Channel<T>::create(
            name, {.capacity = 4, .region_size = 4096, .max_participants = 8, .max_groups = 4});
        auto member = channel.join("group", {.ack = Ack::manual, .max_attempts = 3});
        auto subscriber = channel.subscribe();
        auto lossy = channel.subscribe({.delivery = Delivery::lossy});
        auto producer = channel.producer();
        for (const std::size_t size : {3U, 3U, 5U, 1000U})
            (void)try_send(producer, size);
        auto first = member.receive();
        auto second = member.receive();
        auto third = member.receive();
        (void)second.ack();
        (void)third.nack(1h);
        for (int i = 0; i < 2; ++i)
            (void)subscriber.receive();
        test::TornProducer torn(name);  // copied below as if it were dead: nobody holds its byte
        const auto memory = test::memory_of(name);
        layout = memory->layout();
        const auto object = memory->open_again(true);
        const auto whole = os::Mapping::map(object.get(), 0, layout.object_size, false, {});
        control.assign(whole.data(), whole.data() + layout.control_size);
        data.assign(whole.data() + layout.data_offset,
                    whole.data() + layout.data_offset + layout.data_size);
    }
};

/// Lets every role use the channel, once each.
template <class T>
void use(const std::string& name) {
    auto channel = Channel<T>::open(name, {.any_type = is_bytes<T>});
    (void)channel.peek(std::nullopt, 10);
    const auto quietly = [](auto&& action) {
        try {
            action();
        } catch (const Error&) {
            // Refused, and the channel said why.
        }
    };
    std::uint8_t sum = 0;
    const auto read = [&sum](const Message<T>& message) {
        if (!message) return;
        for (const std::byte byte : message.bytes())
            sum ^= std::to_integer<std::uint8_t>(byte);
        if constexpr (!is_bytes<T>) {
            for (const std::byte byte : message->content)
                sum ^= std::to_integer<std::uint8_t>(byte);
        }
    };
    quietly([&] {
        auto producer = channel.producer();
        (void)try_send(producer, 4);
        (void)try_send(producer, 500);
    });
    quietly([&] {
        auto member = channel.join("group", {.ack = Ack::manual, .max_attempts = 3});
        for (int i = 0; i < 3; ++i) {
            auto message = member.try_receive();
            read(message);
            if (i == 1) (void)message.reject();
        }
    });
    for (const Delivery delivery : {Delivery::reliable, Delivery::lossy}) {
        quietly([&] {
            auto reader = channel.subscribe({.delivery = delivery, .from = Start::earliest()});
            for (int i = 0; i < 3; ++i)
                read(reader.try_receive());
        });
    }
    quietly([&] { (void)channel.purge("group"); });
    quietly([&] { channel.remove_group("group"); });
    quietly([&] { (void)channel.close(0s); });
    quietly([&] { (void)channel.exclusive_producer(); });
}

void make_raw(const File& file, Bytes& input) {
    const std::uint64_t size = std::uint64_t{input.below(65536)} << input.below(16);
    const Input bytes = input.rest();
    file.write(bytes.data(), bytes.size());
    os::set_size(file.descriptor(), size);
}

/// A header that is right, over bytes that were never initialised.
template <class T>
void make_header_only(const File& file, Bytes& input) {
    format::Preamble preamble{};
    preamble.magic = format::magic;
    preamble.version = format::format_version;
    preamble.fingerprint = format::fingerprint();
    preamble.type = protocol::message_type<T>().identity;
    preamble.inline_size = 8 + input.below(200);
    preamble.temporary = input.flip() ? 1 : 0;
    preamble.first_position = input.word();
    preamble.layout = format::layout_of("fuzz", {.capacity = 1U << input.below(7),
                                                 .inline_size = preamble.inline_size,
                                                 .region_size = 4096ULL * input.below(3),
                                                 .max_participants = 1 + input.below(16),
                                                 .max_groups = 1 + input.below(8)});
    const Input bytes = input.rest();
    file.write(bytes.data(), bytes.size(), sizeof preamble);
    file.write(&preamble, sizeof preamble);
    os::set_size(file.descriptor(), preamble.layout.object_size);
}

template <class T>
void make_damaged(const File& file, Bytes& input) {
    static const Template<T> original;
    const format::Layout& layout = original.layout;
    file.write(original.control.data(), original.control.size());
    file.write(original.data.data(), original.data.size(), layout.data_offset);
    const auto object = os::Mapping::map(file.descriptor(), 0, layout.object_size, true, {});
    Damage damage(object.data(), layout);
    const bool cut = input.below(16) == 0;
    while (!input.done())
        damage.one(input);
    if (cut) os::set_size(file.descriptor(), layout.object_size - 1 - input.below(4096));
}

template <class T>
void use_object(Input bytes) {
    Bytes input(bytes);
    const test::ChannelName name("object");
    const File file(name);
    switch (input.below(4)) {
        case 0: make_raw(file, input); break;
        case 1: make_header_only<T>(file, input); break;
        default: make_damaged<T>(file, input); break;
    }
    try {
        (void)inspect(name);
    } catch (const Error&) {
        // No channel, and it said so.
    }
    tools::monitor::LiveSource source({{"*.object"}, false}, std::chrono::seconds(1));
    tools::monitor::History history;
    source.next(history);
    (void)tools::monitor::to_json(history, rows_of(history, {}), false);
    try {
        use<T>(name);
    } catch (const Error&) {
        // The same.
    }
    (void)remove_dead();
    // Whatever it was, its name can be used again.
    (void)remove(name);
    auto fresh = Channel<>::create(name, {.capacity = 1, .region_size = 0, .max_participants = 1});
    require(fresh.producer().try_send("again").status() == Status::ok,
            "a channel can be made where a damaged object was removed");
}

}  // namespace

void damaged_objects(Input bytes) {
    use_object<std::byte>(bytes);
    use_object<Wide>(bytes);
}

}  // namespace ipc::fuzz
