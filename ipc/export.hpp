#pragma once

/// Marks what a program that links the shared library may call. Everything else stays hidden, so
/// that the exported symbols are the interface and nothing more.
#define IPC_API __attribute__((visibility("default")))
