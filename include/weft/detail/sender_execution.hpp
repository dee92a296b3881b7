// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <version>

// Whose senders: weft::detail::execution is the library's namespace, weft::detail::stop_tokens that of get_stop_token.
// std::execution if the standard library has it, else NVIDIA's stdexec, unless WEFT_EXECUTION_NAMESPACE names a
// namespace that has P2300's names, for which the header was included before.

#if defined(WEFT_EXECUTION_NAMESPACE)
#    define WEFT_EXECUTION WEFT_EXECUTION_NAMESPACE
#    define WEFT_STOP_TOKENS WEFT_EXECUTION_NAMESPACE
#elif defined(__cpp_lib_senders)
#    include <execution>
#    include <stop_token>
#    define WEFT_EXECUTION std::execution
#    define WEFT_STOP_TOKENS std
#elif __has_include(<stdexec/execution.hpp>)
#    include <stdexec/execution.hpp>
#    define WEFT_EXECUTION stdexec
#    define WEFT_STOP_TOKENS stdexec
#else
#    error "weft/senders.hpp needs std::execution or NVIDIA's stdexec (link weft::senders, which finds it), or \
WEFT_EXECUTION_NAMESPACE defined as the namespace of another implementation of P2300 that was included before"
#endif

#if defined(WEFT_EXECUTION)
namespace weft::detail {
namespace execution = WEFT_EXECUTION;
namespace stop_tokens = WEFT_STOP_TOKENS;
} // namespace weft::detail
#endif
