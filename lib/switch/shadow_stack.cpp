// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A shadow stack (x86's CET, GCS of Armv9.4) is the processor's own copy of the return addresses of one stack: `ret`
// faults where the two differ, so a switch would have to exchange the copies, too. weft's does not, and its objects do
// not promise it: a system then gives the whole program none, unless it is told to give one in any case. Such a program
// would die of a fault at its first `ret` on another stack. It is told why instead, before main.
// The assembly refers to this file, so that a program that links a switch links it.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))

namespace {

bool has_shadow_stack() noexcept {
#    if defined(__x86_64__)
    std::uint64_t pointer = 0;
    asm volatile("rdsspq %0" : "+r"(pointer)); // the top of the shadow stack; where there is none, does nothing
    return pointer != 0;
#    else
    register std::uint64_t features asm("x16") = 1;
    asm volatile("hint #40" : "+r"(features)); // chkfeat: clears bit 0 if GCS is on; an older processor does nothing
    return features == 0;
#    endif
}

} // namespace

extern "C" [[gnu::constructor, gnu::visibility("hidden")]] void weft_refuse_shadow_stack() noexcept {
    if (!has_shadow_stack()) return;
    std::fputs("weft: this program runs with a shadow stack, which weft's switch does not keep: start it without "
               "(unset GLIBC_TUNABLES, or do not set glibc.cpu.x86_shstk=on or glibc.cpu.aarch64_gcs in it)\n",
               stderr);
    std::abort();
}

#endif
