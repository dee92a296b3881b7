// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// What this build is: which switch it runs on, and how the compiler spells a few attributes.

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
#if !defined(WEFT_VALGRIND)
#    define WEFT_VALGRIND 0
#endif

#define WEFT_API __attribute__((visibility("default")))
#define WEFT_ALWAYS_INLINE inline __attribute__((always_inline))

#if defined(__SANITIZE_ADDRESS__) || WEFT_HAS_FEATURE(address_sanitizer)
#    define WEFT_ASAN 1
#else
#    define WEFT_ASAN 0
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

// Under PAC a saved program counter rests in memory signed. Code that signs and code that does not cannot hand contexts
// to each other, so their entry points have different names: a mixture does not link.
#if defined(__ARM_FEATURE_PAC_DEFAULT)
#    define WEFT_SIGNED_CONTEXTS 1
#    define WEFT_CONTEXT_ABI contexts_with_signed_pc
#else
#    define WEFT_SIGNED_CONTEXTS 0
#    define WEFT_CONTEXT_ABI contexts_with_plain_pc
#endif
