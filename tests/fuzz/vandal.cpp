// Damages words of a channel between the operations of those who use it. Whatever they then see, no
// operation crashes, reaches outside of its mapping, or goes on for ever; all else is allowed:
// errors, messages lost, repeated or garbled.

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ipc/ipc.hpp"
#include "ipc/protocol/lifecycle.hpp"
#include "ipc/protocol/recovery.hpp"
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

constexpr auto patience = 20us;

class Scene {
public:
    explicit Scene(Bytes& input);
    void step();

private:
    struct Sender {
        std::optional<Producer<>> producer;
        std::vector<Loan<>> loans;  // gone before it

        void detach() {
            loans.clear();
            producer.reset();
        }
    };

    void attach_producer(Sender& sender);
    void attach_reader(std::size_t number);
    void send(Sender& sender);
    void lend(Sender& sender);
    void receive(Consumer<>& reader);
    void settle(Message<>& message);
    void watch();
    void administrate();
    void die();

    void read(const Message<>& message);
    std::string body(std::size_t most) { return std::string(input_.below(most + 1), 'x'); }
    template <class Handle>
    Handle& one_of(std::vector<Handle>& handles) {
        return handles[input_.below(handles.size())];
    }

    Bytes& input_;
    const test::ChannelName name_{"vandal"};
    const test::ChannelName letters_{"vandal.letters"};
    GroupOptions group_;
    Channel<> channel_;
    Channel<> dead_letters_;
    std::shared_ptr<protocol::ChannelMemory> memory_;
    os::Mapping object_;
    Damage damage_;
    std::size_t largest_;
    Inspector inspector_;
    tools::monitor::LiveSource source_{{{"*vandal*"}, false}, std::chrono::seconds(1)};
    tools::monitor::History history_;
    std::array<Sender, 2> senders_;
    std::array<std::optional<Consumer<>>, 5> readers_;
    std::vector<Message<>> messages_;
    unsigned sum_ = 0;  ///< or reading would be optimised away
};

ChannelOptions options_from(Bytes& input) {
    const std::uint8_t shape = input.byte();
    const Position wraps[] = {0, std::uint64_t{1} << 44, std::uint64_t{1} << 48, 0x8000'0000'0000};
    return {.capacity = 1U << (shape % 5),
            .inline_size = (shape & 0x20) != 0 ? 104U : 40U,
            .region_size = (shape & 0x40) != 0 ? 4096U : 0U,
            .max_participants = 12,
            .max_groups = 6,
            .temporary = (shape & 0x80) != 0,
            .first_position = wraps[input.byte() % 4] - input.byte() % 32};
}

GroupOptions group_from(Bytes& input, const std::string& letters) {
    const std::uint8_t shape = input.byte();
    GroupOptions options;
    options.ack = (shape & 1) != 0 ? Ack::manual : Ack::automatic;
    options.lifetime = (shape & 2) != 0 ? Lifetime::ephemeral : Lifetime::durable;
    options.max_attempts = (shape & 4) != 0 ? 2 : 0;
    if ((shape & 8) != 0) options.lease_limit = 1ms;
    if ((shape & 16) != 0) options.dead_letter = letters;
    options.from = Start::earliest();
    return options;
}

os::Mapping map_whole(const protocol::ChannelMemory& memory) {
    const auto object = memory.open_again(true);
    return os::Mapping::map(object.get(), 0, memory.layout().object_size, true, {});
}

Scene::Scene(Bytes& input)
    : input_(input),
      group_(group_from(input, letters_)),
      channel_(Channel<>::create(name_, options_from(input))),
      dead_letters_(Channel<>::create(
          letters_, {.capacity = 2, .region_size = 8192, .max_participants = 4, .max_groups = 2})),
      memory_(test::memory_of(name_)),
      object_(map_whole(*memory_)),
      damage_(object_.data(), memory_->layout()),
      largest_(memory_->layout().slot_size + memory_->layout().region_size),
      inspector_(name_) {
    for (Sender& sender : senders_)
        sender.producer.emplace(channel_.producer());
    for (std::size_t i = 0; i < readers_.size(); ++i)
        attach_reader(i);
}

void Scene::attach_producer(Sender& sender) {
    sender.detach();
    const bool exclusive = input_.below(4) == 3;
    if (exclusive) {  // it would be refused while the other lives
        for (Sender& each : senders_)
            each.detach();
    }
    sender.producer.emplace(exclusive ? channel_.exclusive_producer() : channel_.producer());
}

void Scene::attach_reader(std::size_t number) {
    auto& reader = readers_[number];
    reader.reset();
    switch (number) {
        case 0:
        case 1: reader.emplace(channel_.join("group", group_)); break;
        case 2: reader.emplace(channel_.subscribe({.from = Start::earliest()})); break;
        case 3: reader.emplace(channel_.subscribe({.delivery = Delivery::lossy})); break;
        default: reader.emplace(channel_.join("lossy", {.delivery = Delivery::lossy})); break;
    }
}

void Scene::read(const Message<>& message) {
    if (!message) return;
    require(message.size() <= largest_, "a message is no longer than its place");
    for (const std::byte byte : message.bytes())
        sum_ += std::to_integer<unsigned>(byte);
    if (message.origin()) ++sum_;
}

void Scene::send(Sender& sender) {
    if (!sender.producer) return;
    Producer<>& producer = *sender.producer;
    switch (input_.below(4)) {
        case 0: (void)producer.try_send(body(40)); break;
        case 1: (void)producer.try_send(body(4096)); break;
        case 2: (void)producer.send_for(body(200), patience); break;
        default: {
            const std::string text = body(60);
            const std::vector<std::string_view> items(1 + input_.below(5), text);
            (void)producer.try_send_batch(items);
        }
    }
}

void Scene::lend(Sender& sender) {
    if (!sender.producer) return;
    if (sender.loans.empty() || (input_.flip() && sender.loans.size() < 4)) {
        const std::size_t size = input_.below(4097);
        auto loan = input_.flip() ? sender.producer->try_loan(size)
                                  : sender.producer->loan_for(size, patience);
        if (!loan) return;
        for (std::byte& byte : loan.bytes())
            byte = std::byte{1};
        sender.loans.push_back(std::move(loan));
        return;
    }
    const std::size_t chosen = input_.below(sender.loans.size());
    Loan<>& loan = sender.loans[chosen];
    if (input_.flip()) (void)std::move(loan).try_publish();
    sender.loans.erase(sender.loans.begin() + static_cast<std::ptrdiff_t>(chosen));
}

void Scene::receive(Consumer<>& reader) {
    if (input_.below(4) == 0) {
        auto batch = input_.flip() ? reader.try_receive_batch(1 + input_.below(6))
                                   : reader.receive_batch_for(1 + input_.below(6), patience);
        unsigned left = input_.below(8);
        for (Message<>& message : batch) {
            read(message);
            if (left-- == 0) break;
            settle(message);
        }
        return;
    }
    auto message = input_.flip() ? reader.try_receive() : reader.receive_for(patience);
    read(message);
    if (message && messages_.size() < 8) messages_.push_back(std::move(message));
}

void Scene::settle(Message<>& message) {
    switch (input_.below(7)) {
        case 0: (void)message.ack(); break;
        case 1: (void)message.nack(std::chrono::milliseconds(input_.below(3))); break;
        case 2: (void)message.reject(); break;
        case 3: (void)message.renew(); break;
        case 4: sum_ += message.held(); break;
        case 5: sum_ += message.intact(); break;
        default: message.release(); break;
    }
}

void Scene::watch() {
    switch (input_.below(5)) {
        case 0: (void)inspector_.sample(); break;
        case 1: (void)inspect(name_); break;
        case 2:
            source_.next(history_);
            (void)tools::monitor::to_json(history_, rows_of(history_, {}), false);
            break;
        case 3: {
            const auto from = input_.flip() ? std::optional<Position>() : channel_.capacity();
            for (const PeekedMessage& message : channel_.peek(from, 8))
                require(message.body.size() <= largest_, "a message is no longer than its place");
            break;
        }
        default:
            if (auto& reader = readers_[3 + input_.below(2)]) {
                const auto message = reader->try_peek();
                read(message);
                sum_ += message.intact();
            }
    }
}

void Scene::administrate() {
    switch (input_.below(7)) {
        case 0: (void)channel_.purge(input_.flip() ? "group" : "lossy"); break;
        case 1: channel_.remove_group(input_.flip() ? "group" : "lossy"); break;
        case 2: (void)channel_.close(0s); break;
        case 3: (void)protocol::sweep(*memory_, format::no_participant, nullptr); break;
        case 4: (void)remove_dead(); break;
        case 5: (void)Channel<>::open_or_create(name_); break;
        default: {
            auto letters = dead_letters_.join("readers", {.from = Start::earliest()});
            read(letters.try_receive());
        }
    }
}

/// Leaves what a process leaves that was killed: a claim, or a reader's entry.
void Scene::die() {
    if (input_.flip()) {
        test::TornProducer torn(name_);
        try {
            if (input_.flip()) torn.claim();
        } catch (const std::runtime_error&) {
            // The ring is too damaged even for that.
        }
        return;
    }
    protocol::Membership lost = input_.flip() ? protocol::join_group(*memory_, "group", group_)
                                              : protocol::join_alone(*memory_, {});
    lost.attachment.life.release();
}

void Scene::step() {
    const unsigned what = input_.below(16);
    if (what < 5) {
        damage_.one(input_);
        return;
    }
    try {
        Sender& sender = senders_[input_.below(senders_.size())];
        switch (what) {
            case 5:
            case 6: send(sender); break;
            case 7: lend(sender); break;
            case 8:
            case 9:
            case 10:
                if (auto& reader = readers_[input_.below(readers_.size())]) receive(*reader);
                break;
            case 11:
                if (!messages_.empty()) {
                    const std::size_t chosen = input_.below(messages_.size());
                    read(messages_[chosen]);
                    settle(messages_[chosen]);
                    messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(chosen));
                }
                break;
            case 12: watch(); break;
            case 13: administrate(); break;
            case 14:
                if (input_.flip()) {
                    attach_producer(sender);
                } else {
                    attach_reader(input_.below(readers_.size()));
                }
                break;
            default: die(); break;
        }
    } catch (const Error&) {
        // A clear error is all the damaged channel owes them.
    }
}

}  // namespace

void vandal(Input bytes) {
    Bytes input(bytes);
    Scene scene(input);
    while (!input.done())
        scene.step();
}

}  // namespace ipc::fuzz
