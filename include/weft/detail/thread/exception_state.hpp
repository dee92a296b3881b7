// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <cxxabi.h>

#if defined(_LIBCPPABI_VERSION) // LLVM's runtime has this function of the ABI, but no header that declares it
namespace __cxxabiv1 {
struct __cxa_eh_globals;
extern "C" __cxa_eh_globals* __cxa_get_globals() noexcept;
} // namespace __cxxabiv1
#endif

namespace weft::detail {

/// The exceptions that a flow of control is handling (`catch` blocks it is inside of) and how many are under way.
/// The C++ runtime keeps one such state per thread; weft swaps it at every resume, so that each fiber has its own.
/// Layout of `__cxa_eh_globals`, Itanium C++ ABI (exception handling) §2.2.2.
struct exception_state {
    void* caught = nullptr;
    unsigned int uncaught = 0;

    /// Is anything in it? One comparison, as every resume asks twice: of the eight bytes from the second on, which are
    /// seven of `caught` (no exception lies at an address below 256) and the lowest of `uncaught`.
    static constexpr bool is_one_word = std::endian::native == std::endian::little && sizeof(void*) == 8;
    bool any() const noexcept {
        if constexpr (is_one_word) {
            std::uint64_t both;
            std::memcpy(&both, reinterpret_cast<const std::byte*>(this) + 1, sizeof both);
            return both != 0;
        } else {
            return caught != nullptr || uncaught != 0;
        }
    }
};

/// The state of the running thread, for as long as control stays on it.
inline exception_state& thread_exceptions() noexcept {
    return *reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
}

} // namespace weft::detail
