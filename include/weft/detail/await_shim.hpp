// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/await_request.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>

namespace weft::detail {

/// Room for a coroutine frame on the body's stack.
struct shim_storage {
    static constexpr std::size_t capacity = 512;
    alignas(std::max_align_t) std::byte bytes[capacity];
};

class shim_promise;
using shim_handle = std::coroutine_handle<shim_promise>;

/// The promise that awaiters see which want one, when they are awaited by weft::await.
class shim_promise {
public:
    shim_promise(shim_storage&, await_request&) noexcept {}

    // Always fits: the frame's size depends on the compiler, not on what is awaited. Checked by the tests; a compiler
    // with larger frames gets them from the heap.
    static void* operator new(std::size_t size, shim_storage& storage, await_request&) {
        return size <= shim_storage::capacity ? storage.bytes : ::operator new(size);
    }
    static void operator delete(void* frame, std::size_t size) noexcept {
        if (size > shim_storage::capacity) ::operator delete(frame);
    }

    shim_handle get_return_object() noexcept { return shim_handle::from_promise(*this); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    auto final_suspend() const noexcept {
        struct to_driver {
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(shim_handle self) const noexcept { return self.promise().driver_; }
            void await_resume() const noexcept {}
        };
        return to_driver{};
    }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); } // it awaits one thing, which stores its failure

    void continue_with(std::coroutine_handle<> driver) noexcept { driver_ = driver; }

private:
    std::coroutine_handle<> driver_;
};

/// A coroutine on the body's stack that awaits one awaiter and then continues the driver: for awaiters that want the
/// handle of a coroutine with a promise.
class await_shim {
public:
    explicit await_shim(await_request& inner) : handle_{await_inner(storage_, inner)}, request_{&start, this, true, ambient_kind} {}
    ~await_shim() { handle_.destroy(); }
    await_shim(const await_shim&) = delete;
    await_shim& operator=(const await_shim&) = delete;

    /// What the driver is to await.
    await_request& request() noexcept { return request_; }

private:
    struct coroutine {
        using promise_type = shim_promise;
        shim_handle handle;
        coroutine(shim_handle h) noexcept : handle{h} {}
    };

    static coroutine await_coroutine(shim_storage&, await_request& inner) {
        transferring_wait wait{inner};
        co_await wait;
    }
    static shim_handle await_inner(shim_storage& storage, await_request& inner) {
        return await_coroutine(storage, inner).handle;
    }

    static std::coroutine_handle<> start(await_request& request, std::coroutine_handle<> driver) noexcept {
        auto& self = *static_cast<await_shim*>(request.awaiter);
        self.handle_.promise().continue_with(driver);
        return self.handle_;
    }

    shim_storage storage_;
    shim_handle handle_;
    await_request request_;
};

} // namespace weft::detail
