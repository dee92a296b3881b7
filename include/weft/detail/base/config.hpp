// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// What this build is: which switch it runs on, and how the compiler spells a few attributes. To lib/switch/thread_state.S,
// which includes it too, it is nothing but the preprocessor's own lines.

#include <weft/detail/base/branch_protection.hpp>

#if defined(__has_feature)
#    define WEFT_HAS_FEATURE(x) __has_feature(x)
#else
#    define WEFT_HAS_FEATURE(x) 0
#endif

// The backend. The build defines WEFT_SWITCH_FCONTEXT when it was configured with WEFT_SWITCH=fcontext.
#if defined(WEFT_SWITCH_FCONTEXT)
#    define WEFT_SWITCH_NATIVE 0
#elif defined(__aarch64__) || defined(__x86_64__)
#    define WEFT_SWITCH_NATIVE 1
#else
#    error "weft has no switch of its own for this processor: configure with WEFT_SWITCH=fcontext to run on Boost.Context"
#endif

// The build defines it when it was configured with WEFT_VALGRIND=ON.
#if !defined(WEFT_TELLS_VALGRIND)
#    define WEFT_TELLS_VALGRIND 0
#endif

// Without exceptions (-fno-exceptions) compilers refuse `try`, `catch` and `throw`, even where nothing is ever thrown:
// there only the first block is left of
//     WEFT_TRY { … } WEFT_CATCH(const error&) { … } WEFT_CATCH(...) { …; WEFT_RETHROW; }
#if defined(__cpp_exceptions)
#    define WEFT_EXCEPTIONS 1
#    define WEFT_TRY try
#    define WEFT_CATCH(...) catch (__VA_ARGS__)
#    define WEFT_RETHROW throw
#else
#    define WEFT_EXCEPTIONS 0
#    define WEFT_TRY if constexpr (true)
#    define WEFT_CATCH(...) else if constexpr (false)
#    define WEFT_RETHROW static_cast<void>(0)
#endif

#define WEFT_ALWAYS_INLINE inline __attribute__((always_inline))

// The reference that a function returns is what an awaiter gave, as with co_await: GCC (-Wdangling-reference) takes a
// temporary argument for a sign that it refers to that. The attribute is known since GCC 14.
#if defined(__cplusplus) // this file is included by assembly, too
#    if __has_cpp_attribute(gnu::no_dangling)
#        define WEFT_NO_DANGLING [[gnu::no_dangling]]
#    else
#        define WEFT_NO_DANGLING
#    endif
#endif

#if defined(__SANITIZE_ADDRESS__) || WEFT_HAS_FEATURE(address_sanitizer)
#    define WEFT_ASAN 1
#else
#    define WEFT_ASAN 0
#endif

#if defined(__SANITIZE_HWADDRESS__) || WEFT_HAS_FEATURE(hwaddress_sanitizer)
#    define WEFT_HWASAN 1
#else
#    define WEFT_HWASAN 0
#endif

#if WEFT_HAS_FEATURE(memory_sanitizer)
#    define WEFT_MSAN 1
#else
#    define WEFT_MSAN 0
#endif

#if defined(__SANITIZE_THREAD__) || WEFT_HAS_FEATURE(thread_sanitizer)
#    define WEFT_TSAN 1
#else
#    define WEFT_TSAN 0
#endif

// -fsanitize=shadow-call-stack (AArch64): x18 points into a second stack, which holds the return addresses. GCC does
// not tell that it is on: there define it as 1 for all code that uses weft.
#if !defined(WEFT_SHADOW_CALL_STACK)
#    define WEFT_SHADOW_CALL_STACK WEFT_HAS_FEATURE(shadow_call_stack)
#endif
#if WEFT_SHADOW_CALL_STACK && (!WEFT_SWITCH_NATIVE || !defined(__aarch64__))
#    error "only weft's own switch for AArch64 keeps shadow call stacks: build without -fsanitize=shadow-call-stack"
#endif

// A second stack for what may overflow, or a stack in pieces: the thread has pointers into either, which belong to the
// fiber that runs and would have to be exchanged at every switch.
#if WEFT_HAS_FEATURE(safe_stack)
#    error "weft: fibers have one stack each, and -fsanitize=safe-stack wants two: build without it"
#endif
#if WEFT_HAS_FEATURE(dataflow_sanitizer)
#    error "weft: -fsanitize=dataflow is not told where control goes at a switch: build without it"
#endif
// No macro tells of -fsplit-stack. Code that was compiled so calls __morestack; that this name stands for a place in a
// section which linkers drop is an error as soon as it is used, and the section's name says why. (bfd, lld; gold refuses
// it without the reason.)
#if defined(__ELF__) && (defined(__x86_64__) || defined(__i386__)) && !defined(__ASSEMBLER__)
asm(".ifndef __morestack\n\t"
    ".pushsection \"error: weft does not run on split stacks: build without -fsplit-stack\", \"e\", @progbits\n"
    "__morestack:\n\t"
    ".popsection\n\t"
    ".endif");
#endif

// Under PAC a saved program counter rests in memory signed.
#define WEFT_SIGNED_CONTEXTS WEFT_PAC

// The settings that inline code and the library must share: what a control block holds, and which tool is told of a switch.
// Nothing else is shared: NDEBUG, optimization, exceptions and the rest may differ from file to file.
#if !WEFT_SWITCH_NATIVE
#    define WEFT_SETTINGS_SWITCH "boost_switch"
#elif !defined(__aarch64__)
#    define WEFT_SETTINGS_SWITCH "native_switch"
#elif WEFT_SIGNED_CONTEXTS
#    define WEFT_SETTINGS_SWITCH "native_switch_signed_pc"
#else
#    define WEFT_SETTINGS_SWITCH "native_switch_plain_pc"
#endif
#if WEFT_SHADOW_CALL_STACK
#    define WEFT_SETTINGS_SHADOW "_shadow_call_stack"
#else
#    define WEFT_SETTINGS_SHADOW ""
#endif
#if WEFT_ASAN
#    define WEFT_SETTINGS_SANITIZER "_needs_weft_with_fsanitize_address"
#elif WEFT_HWASAN
#    define WEFT_SETTINGS_SANITIZER "_needs_weft_with_fsanitize_hwaddress"
#elif WEFT_MSAN
#    define WEFT_SETTINGS_SANITIZER "_needs_weft_with_fsanitize_memory"
#elif WEFT_TSAN
#    define WEFT_SETTINGS_SANITIZER "_needs_weft_with_fsanitize_thread"
#else
#    define WEFT_SETTINGS_SANITIZER "_no_sanitizer"
#endif
#if WEFT_TELLS_VALGRIND
#    define WEFT_SETTINGS_VALGRIND "_valgrind"
#else
#    define WEFT_SETTINGS_VALGRIND ""
#endif
#define WEFT_SETTINGS WEFT_SETTINGS_SWITCH WEFT_SETTINGS_SHADOW WEFT_SETTINGS_SANITIZER WEFT_SETTINGS_VALGRIND

// The settings are part of the name of whatever is declared so, of functions that a program declares with such a type,
// too. A mixture does not link: "undefined reference to weft::detail::resume_slow[abi:<settings>]". So the settings
// say what is to be done, where a program has a sanitizer and weft has not.
#define WEFT_ABI_TAG __attribute__((abi_tag(WEFT_SETTINGS)))
// What the library exports. WEFT_EXPORT is for what no setting changes and for extern "C", which has no such names.
#define WEFT_EXPORT __attribute__((visibility("default")))
#define WEFT_API WEFT_EXPORT WEFT_ABI_TAG
// The extern "C" functions of the bare switch depend on one of the settings: then they have other names, as they have in
// lib/switch/asm.h.
#if WEFT_SHADOW_CALL_STACK
#    define WEFT_SWITCH_NAME(name) __asm__(#name "_with_shadow_call_stack")
#else
#    define WEFT_SWITCH_NAME(name)
#endif

// The state of a thread (see thread/thread_state.hpp) under the name that linkers know it by, and the function that returns its
// address. Both names stand here alone.
#define WEFT_THREAD_STATE weft_thread_state
#define WEFT_THIS_THREAD weft_this_thread

// Is it ELF's thread-local storage, which assembly can define and reach? Then lib/switch/thread_state.S does, whatever
// compilers make of a thread_local (-femulated-tls). Android has that storage from API 29 on, and TLS descriptors on
// AArch64 alone.
#if defined(__linux__) && defined(__ELF__) && defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))
#    if !defined(__ANDROID__)
#        define WEFT_THREAD_STATE_ELF 1
#    elif defined(__aarch64__) && __ANDROID_API__ >= 29
#        define WEFT_THREAD_STATE_ELF 1
#    endif
#endif
#if !defined(WEFT_THREAD_STATE_ELF)
#    define WEFT_THREAD_STATE_ELF 0
#endif
