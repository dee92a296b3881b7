// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// The Asio under test is `net`, its errors are `errors`: Boost.Asio, or, with WEFT_STANDALONE_ASIO, the standalone Asio.

#if defined(WEFT_STANDALONE_ASIO)

// Asio 1.22 finds the coroutines of GCC by itself, those of a recent Clang not.
#    if defined(__clang__)
#        define ASIO_HAS_CO_AWAIT 1
#        define ASIO_HAS_STD_COROUTINE 1
#    endif
#    include <weft/standalone_asio.hpp>
#    include <asio/experimental/awaitable_operators.hpp>

namespace net = asio;
namespace errors = std;

#else

#    include <weft/asio.hpp>
#    include <boost/asio/as_tuple.hpp>
#    include <boost/asio/experimental/awaitable_operators.hpp>
#    include <boost/asio/redirect_error.hpp>

namespace net = boost::asio;
namespace errors = boost::system;

#endif

#if WEFT_TSAN
// Asio counts the users of an executor with a fence, which ThreadSanitizer does not see.
extern "C" const char* __tsan_default_suppressions() {
    return "race:asio::execution::detail::any_executor_base::destroy_shared\n";
}
#endif
