#include "ipc/protocol/reader.hpp"

#include <thread>

namespace ipc::inline v1::protocol {

Reader::Reader(std::shared_ptr<ChannelMemory> memory, Membership membership, ReaderKind kind,
               const WaitPolicy& policy)
    : memory_(std::move(memory)),
      ring_(memory_->ring()),
      group_(&memory_->group(membership.group)),
      self_(&memory_->participant(membership.attachment.index)),
      status_(membership.status),
      shape_(shape_of(*memory_)),
      group_index_(membership.group),
      index_(membership.attachment.index),
      skipped_(membership.skipped),
      kind_(kind),
      needs_fence_(membership.attachment.needs_fence),
      attachment_(std::move(membership.attachment)),
      waiter_(*memory_, index_, place_of_group(group_index_), policy, nullptr) {}

Reader::~Reader() {
    detach(*memory_, attachment_);
}

Status Reader::receive(Received& out, const Patience& patience, Taking taking) {
    Status status = Status::empty;
    // As long as this spins, a look takes what it finds: every step between READY and the hand-out
    // counts. A sleeper gives up its sentinel's duty first.
    const auto ready = [&](Look look) {
        if (look == Look::thorough) return has_news(look) || group_ended();
        status = poll(out, taking);
        return status != Status::empty;
    };
    if (patience.deadline.is_immediate()) {
        return patience.stop.stop_requested() ? Status::interrupted : patience.when_over;
    }
    for (unsigned turns = 1;; ++turns) {
        const Status waited = waiter_.wait(ready, patience.deadline, patience.stop);
        if (status != Status::empty) return status;
        if (waited != Status::ok) return waited;
        status = take_next(out, taking);
        if (status != Status::empty) return status;
        // News that are none after all must not keep this wait beyond its end.
        if (turns % 64 == 0) {
            if (patience.stop.stop_requested()) return Status::interrupted;
            if (patience.deadline.passed()) return patience.when_over;
            std::this_thread::yield();
        }
    }
}

void Reader::record_slowly(const Received& message) const {
    const os::Nanoseconds now = os::now();
    const auto since = [now](std::int64_t then) {
        return static_cast<std::uint64_t>(os::elapsed(then, now));
    };
    const auto service = since(message.received_at);
    const auto response = since(message.publish_time);
    if (status_.has(GroupStatus::anonymous)) {
        group_->service_time.add_alone(service);
        group_->response_time.add_alone(response);
    } else {
        group_->service_time.add(service);
        group_->response_time.add(response);
    }
}

}  // namespace ipc::inline v1::protocol
