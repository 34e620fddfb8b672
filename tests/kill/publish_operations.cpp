#include <array>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/kill/operations.hpp"
#include "tests/kill/traced_child.hpp"

namespace ipc::test::kill {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t small = 24;   ///< travels in its slot
constexpr std::size_t large = 300;  ///< in the region

void shared(Scene& scene) {
    scene.create();
    scene.publish(1);
}

void exclusive(Scene& scene) {
    scene.create_for_exclusive();
}

/// Room for several messages behind each look at the limit.
void roomy(Scene& scene) {
    scene.options.capacity = 64;
    scene.create();
}

void roomy_exclusive(Scene& scene) {
    scene.options.capacity = 64;
    exclusive(scene);
}

enum class Before : std::uint8_t { nothing, one };

/// One message, while there is room; the producer's first, or one like it came before.
auto send(std::size_t size, Before before = Before::one) {
    return [size, before](Scene& scene) {
        auto producer = scene.make_producer();
        if (before == Before::one) scene.send(producer, size);
        const unsigned id = scene.new_message(size);
        const std::string text = scene.text(id);
        scene.begin_send(id);
        begin_operation();
        const Sent sent = producer.try_send(text);
        end_operation();
        scene.end_send(id, sent);
    };
}

void send_batch(Scene& scene) {
    auto producer = scene.make_producer();
    scene.send(producer, large);
    const std::array ids{scene.new_message(small), scene.new_message(large)};
    std::array<std::string, ids.size()> texts;
    std::array<std::string_view, ids.size()> items;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        items[i] = texts[i] = scene.text(ids[i]);
        scene.begin_send(ids[i]);
    }
    begin_operation();
    const BatchSent sent = producer.try_send_batch(items);
    end_operation();
    for (std::size_t i = 0; i < ids.size(); ++i)
        scene.end_send(ids[i], i < sent.count() ? Status::ok : Status::full);
}

void loan_and_publish(Scene& scene) {
    auto producer = scene.make_producer();
    scene.send(producer, large);
    const unsigned id = scene.new_message(large);
    const std::string text = scene.text(id);
    scene.begin_send(id);
    begin_operation();
    auto loan = producer.try_loan(large);
    if (loan) std::memcpy(loan.bytes().data(), text.data(), text.size());
    const Sent sent = std::move(loan).try_publish();
    end_operation();
    scene.end_send(id, sent);
}

void loan_and_abandon(Scene& scene) {
    auto producer = scene.make_producer();
    begin_operation();
    auto loan = producer.try_loan(large);
    if (loan) std::memset(loan.bytes().data(), '?', loan.bytes().size());
    loan.abandon();
    end_operation();
    scene.send(producer, large);
}

/// The ring is full of messages that the workers hold or did not take.
void full(Scene& scene) {
    scene.create();
    scene.publish(static_cast<unsigned>(scene.options.capacity));
}

void make_room(Scene& scene) {
    scene.read_all();
    scene.work_all();
}

auto send_waiting(std::size_t size) {
    return [size](Scene& scene) {
        auto producer = scene.make_producer();
        const unsigned id = scene.new_message(size);
        const std::string text = scene.text(id);
        scene.begin_send(id);
        begin_operation();
        const Sent sent = producer.send(text);
        end_operation();
        scene.end_send(id, sent);
    };
}

/// The workers have settled everything, out of order, so that nobody moved their mark yet: the
/// producer does, when it reaches its limit.
void settled_but_not_moved(Scene& scene) {
    scene.options.capacity = 32;
    scene.create();
    scene.publish(32);
    scene.read_all();
    std::vector<std::pair<unsigned, Message<>>> held;
    while (auto message = scene.worker->try_receive()) {
        const unsigned id = scene.delivered(workers, message);
        held.emplace_back(id, std::move(message));
    }
    while (!held.empty()) {
        scene.ack(workers, held.back().first, held.back().second);
        held.pop_back();
    }
}

}

std::vector<Operation> publish_operations() {
    const auto with_parked = [](void (Scene::*start)()) {
        return [start](Scene& scene) {
            scene.create();
            scene.worker.reset();
            (scene.*start)();
        };
    };
    return {
        {"send, exclusive, inline", true, exclusive, send(small)},
        {"send, exclusive, inline, limit known", true, roomy_exclusive, send(small)},
        {"send, exclusive, region", true, exclusive, send(large)},
        {"send, exclusive, first in its region", false, exclusive, send(large, Before::nothing)},
        {"send, shared, inline", true, shared, send(small)},
        {"send, shared, inline, limit known", true, roomy, send(small)},
        {"send, shared, region", true, shared, send(large)},
        {"send, shared, first in its region", false, shared, send(large, Before::nothing)},
        {"send batch, exclusive", true, exclusive, send_batch},
        {"send batch, shared", true, shared, send_batch},
        {"loan and publish, exclusive", true, exclusive, loan_and_publish},
        {"loan and publish, shared", true, shared, loan_and_publish},
        {"loan and abandon", false, shared, loan_and_abandon},
        {"send, raising the limit over settled leases", false, settled_but_not_moved,
         send(small, Before::nothing)},
        {"send, full: refused", false, full, send(small, Before::nothing)},
        {"send, full: waits for a slot", false, full, send_waiting(small), make_room},
        {"send, full: waits for its region", false,
         [](Scene& scene) {
             scene.options.capacity = 16;
             scene.create_for_exclusive();
         },
         [](Scene& scene) {
             auto producer = scene.make_producer();
             for (int i = 0; i < 8; ++i)
                 scene.send(producer, 1000);
             const unsigned id = scene.new_message(1000);
             const std::string text = scene.text(id);
             scene.begin_send(id);
             begin_operation();
             const Sent sent = producer.send(text);
             end_operation();
             scene.end_send(id, sent);
         },
         make_room},
        {"send, waking a parked worker", false, with_parked(&Scene::start_parked_worker),
         send(small, Before::nothing)},
        {"send, waking a parked subscriber", false,
         [](Scene& scene) {
             scene.create();
             scene.start_parked_subscriber();
         },
         send(small, Before::nothing)},
        {"send, as the closing that was asked for", false,
         [](Scene& scene) {
             scene.may_close = true;
             exclusive(scene);
         },
         [](Scene& scene) {
             auto producer = scene.make_producer();
             if (scene.open().close(1ns).status() != Status::timed_out) {
                 throw std::runtime_error("the channel was closed too early");
             }
             const unsigned id = scene.new_message(small);
             const std::string text = scene.text(id);
             scene.begin_send(id);
             begin_operation();
             const Sent sent = producer.try_send(text);
             end_operation();
             scene.end_send(id, sent);
         }},
    };
}

}
