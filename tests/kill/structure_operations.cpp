#include <optional>
#include <utility>

#include "tests/kill/operations.hpp"
#include "tests/kill/traced_child.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test::kill {
namespace {

const ParticipantOptions parking{.wait_policy = WaitPolicy::parking()};

void some_traffic(Scene& scene) {
    scene.create();
    scene.publish(2);
}

void exclusive(Scene& scene) {
    scene.create_for_exclusive();
}

void nothing(Scene& scene) {
    scene.may_create = true;
    scene.must_exist = true;
}

void temporary(Scene& scene) {
    scene.may_create = true;
    scene.options.temporary = true;
}

/// `make` makes a handle of an open channel.
template <class Make>
auto attach(Make make) {
    return [make](Scene& scene) {
        const auto channel = scene.open();
        std::optional<decltype(make(channel))> handle;
        begin_operation();
        handle.emplace(make(channel));
        end_operation();
    };
}

template <class Make>
auto detach(Make make) {
    return [make](Scene& scene) {
        const auto channel = scene.open();
        auto handle = std::make_optional(make(channel));
        begin_operation();
        handle.reset();
        end_operation();
    };
}

Producer<> shared_producer(const Channel<>& channel) {
    return channel.producer(parking);
}
Producer<> exclusive_producer(const Channel<>& channel) {
    return channel.exclusive_producer(parking);
}
Consumer<> subscriber(const Channel<>& channel) {
    return channel.subscribe({.from = Start::earliest(), .participant = parking});
}
Consumer<> lossy_subscriber(const Channel<>& channel) {
    return channel.subscribe({.delivery = Delivery::lossy, .participant = parking});
}
Consumer<> worker(const Channel<>& channel) {
    return channel.join("workers", {.ack = Ack::manual, .participant = parking});
}
Consumer<> ephemeral(const Channel<>& channel) {
    return channel.join(
        "ephemeral",
        {.lifetime = Lifetime::ephemeral, .from = Start::earliest(), .participant = parking});
}

auto closing(void (*prepare)(Scene&)) {
    return [prepare](Scene& scene) {
        scene.may_close = true;
        prepare(scene);
    };
}

template <class Make>
auto close(Make make) {
    return [make](Scene& scene) {
        auto producer = make(scene.open());
        begin_operation();
        const Outcome closed = producer.close();
        end_operation();
        require(closed.status() == Status::ok, "close was refused");
    };
}

void close_from_outside(Scene& scene) {
    auto channel = scene.open();
    begin_operation();
    const Outcome closed = channel.close();
    end_operation();
    require(closed.status() == Status::ok, "close was refused");
}

}

std::vector<Operation> structure_operations() {
    return {
        {"create", false, nothing,
         [](Scene& scene) {
             std::optional<Channel<>> channel;
             begin_operation();
             channel.emplace(Channel<>::create(Scene::name, scene.options));
             end_operation();
         }},
        {"open", false, some_traffic,
         [](Scene&) {
             std::optional<Channel<>> channel;
             begin_operation();
             channel.emplace(Channel<>::open(Scene::name));
             end_operation();
         }},
        {"open or create", false, nothing,
         [](Scene& scene) {
             std::optional<Channel<>> channel;
             begin_operation();
             channel.emplace(Channel<>::open_or_create(Scene::name, scene.options));
             end_operation();
         }},
        {"attach, shared producer", false, some_traffic, attach(shared_producer)},
        {"attach, exclusive producer", false, exclusive, attach(exclusive_producer)},
        {"attach, subscriber", false, some_traffic, attach(subscriber)},
        {"attach, lossy subscriber", false, some_traffic, attach(lossy_subscriber)},
        {"join a group", false, some_traffic, attach(worker)},
        {"join a new group", false, some_traffic, attach(ephemeral)},
        {"detach, shared producer", false, some_traffic, detach(shared_producer)},
        {"detach, exclusive producer", false, exclusive, detach(exclusive_producer)},
        {"detach, subscriber", false, some_traffic, detach(subscriber)},
        {"detach, lossy subscriber", false, some_traffic, detach(lossy_subscriber)},
        {"leave a group", false, some_traffic, detach(worker)},
        {"leave an ephemeral group, as the last", false, some_traffic, detach(ephemeral)},
        {"leave a temporary channel, as the last", false, temporary,
         [](Scene& scene) {
             const auto channel = Channel<>::create(Scene::name, scene.options);
             auto producer = std::make_optional(shared_producer(channel));
             begin_operation();
             producer.reset();
             end_operation();
         }},
        {"close, shared producer", false, closing(some_traffic), close(shared_producer)},
        {"close, exclusive producer", false, closing(exclusive), close(exclusive_producer)},
        {"close from outside", false, closing(some_traffic), close_from_outside},
        {"close from outside, through an exclusive producer", false,
         [](Scene& scene) {
             scene.may_close = true;
             scene.create_for_exclusive();
             scene.producer.emplace(scene.make_producer());
         },
         close_from_outside,
         [](Scene& scene) {
             scene.read_all();
             scene.work_all();
             (void)scene.send(*scene.producer);
         }},
        {"remove", false,
         [](Scene& scene) {
             scene.may_remove = true;
             some_traffic(scene);
         },
         [](Scene&) {
             begin_operation();
             const bool removed = remove(Scene::name);
             end_operation();
             require(removed, "there was nothing to remove");
         }},
        {"remove, with parked survivors", false,
         [](Scene& scene) {
             scene.may_remove = true;
             scene.create();
             scene.worker.reset();
             scene.start_parked_worker();
             scene.start_parked_subscriber();
         },
         [](Scene&) {
             begin_operation();
             const bool removed = remove(Scene::name);
             end_operation();
             require(removed, "there was nothing to remove");
         }},
        {"remove dead channels", false,
         [](Scene& scene) {
             scene.may_create = true;
             scene.let_die([&scene] {
                 const auto channel = Channel<>::create(Scene::name, scene.options);
                 auto reader = subscriber(channel);
                 auto producer = shared_producer(channel);
                 die();
             });
         },
         [](Scene&) {
             begin_operation();
             const auto removed = remove_dead();
             end_operation();
             require(removed.size() == 1, "the dead channel was not removed");
         }},
        {"remove a group", false,
         [](Scene& scene) {
             scene.may_end_group = true;
             some_traffic(scene);
         },
         [](Scene& scene) {
             auto channel = scene.open();
             begin_operation();
             channel.remove_group("workers");
             end_operation();
         }},
        {"purge", false,
         [](Scene& scene) {
             scene.may_drop = true;
             some_traffic(scene);
         },
         [](Scene& scene) {
             auto channel = scene.open();
             begin_operation();
             channel.purge("workers");
             end_operation();
         }},
    };
}

std::vector<Operation> all_operations() {
    std::vector<Operation> all;
    for (auto part : {publish_operations(), receive_operations(), settle_operations(),
                      recovery_operations(), structure_operations()}) {
        for (Operation& operation : part)
            all.push_back(std::move(operation));
    }
    return all;
}

}
