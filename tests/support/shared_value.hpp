#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace ipc::test {

/// A value in memory that this process and the children it starts from now on share. Its members
/// are atomics. What a child wrote stays there however it dies.
template <class T>
class SharedValue {
public:
    SharedValue()
        : memory_(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                         0)) {
        if (memory_ == MAP_FAILED) throw std::system_error(errno, std::system_category(), "mmap");
        value_ = ::new (memory_) T();
    }
    ~SharedValue() { ::munmap(memory_, sizeof(T)); }
    SharedValue(const SharedValue&) = delete;
    SharedValue& operator=(const SharedValue&) = delete;

    T* operator->() const { return value_; }
    T& operator*() const { return *value_; }

private:
    void* memory_;
    T* value_ = nullptr;
};

}
