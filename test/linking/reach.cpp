// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The ways in which weft's headers reach the state of a thread, each as a function of its own. linkers.py makes some
// hundred copies of these functions, each with a state of its own, and compares them with a compiler's way.

#include <weft/detail/thread_state.hpp>

extern "C" {

void* by_address() { return &weft::detail::this_thread(); }
const void* asked() { return weft::detail::thread_pointers().asked(); }
const void* at_rest() { return weft::detail::thread_pointers().at_rest(); }
void set_asked(const void* to) { weft::detail::thread_pointers().set_asked(to); }

} // extern "C"
