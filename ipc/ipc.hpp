#pragma once

// ipc: processes on one host exchange messages through ring buffers in shared memory.
//
// The model in five lines. A channel is a named, bounded ring of messages. Producers append; every
// group sees every message once, and the members of a group share them. A subscriber is a group of
// one. Reliable groups hold producers back rather than lose a message, lossy ones skip. Any process
// may die at any instruction: what it held goes to another, and nothing that was published is lost.

#include "ipc/admin.hpp"
#include "ipc/base/error.hpp"
#include "ipc/base/options.hpp"
#include "ipc/base/status.hpp"
#include "ipc/batch.hpp"
#include "ipc/channel.hpp"
#include "ipc/consumer.hpp"
#include "ipc/inspect.hpp"
#include "ipc/message.hpp"
#include "ipc/producer.hpp"
