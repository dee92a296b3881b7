// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/thread/exception_state.hpp>

#include <cstddef>
#include <exception>
#include <utility>

#if defined(_LIBCPPABI_VERSION)
#    include <unwind.h>
#endif
#if WEFT_MSAN
#    include <sanitizer/msan_interface.h>
#endif

namespace weft::detail {

/// As std::current_exception, which is null for what is no C++ exception, and whose result MemorySanitizer takes for
/// uninitialized where the C++ runtime, as usual, is not instrumented.
WEFT_ABI_TAG inline std::exception_ptr exception_in_hand() noexcept {
    std::exception_ptr e = std::current_exception();
#if WEFT_MSAN
    __msan_unpoison(&e, sizeof e);
#endif
    return e;
}

#if WEFT_EXCEPTIONS
/// `throw;` of what is no C++ exception. Afterwards the thread handles none.
[[noreturn]] inline void throw_foreign_again() {
    struct uncounted { // libstdc++ counts what is thrown again, but does not when that is caught
        unsigned int before = thread_exceptions().uncaught;
        ~uncounted() { thread_exceptions().uncaught = before; }
    } const afterwards;
#    if defined(_LIBCPPABI_VERSION) && defined(__LP64__)
    // LLVM's runtime would raise the end of a thread like an exception, which no handler catches, instead of going on with it.
    constexpr std::size_t header = 96; // of __cxa_exception, up to its unwindHeader
    void* const caught = std::exchange(thread_exceptions().caught, nullptr);
    _Unwind_Resume_or_Rethrow(reinterpret_cast<_Unwind_Exception*>(static_cast<std::byte*>(caught) + header));
    std::terminate(); // no handler catches it
#    else
    throw;
#    endif
}

/// exception_in_hand() in a coroutine's unhandled_exception(). What is no C++ exception cannot be held, neither that of another
/// language nor the end of the thread (pthread_exit, pthread_cancel): it goes on to the resumer of the coroutine.
inline std::exception_ptr unhandled_in_hand() {
    if (std::exception_ptr e = exception_in_hand()) return e;
    throw_foreign_again();
}
#else
inline std::exception_ptr unhandled_in_hand() noexcept {
    return nullptr;
}
#endif

} // namespace weft::detail
