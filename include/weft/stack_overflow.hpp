// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/fiber.hpp>

#include <cstddef>

/// \file
/// How much of its stack does a fiber need, and which one ran over its end?
///
///     int main() {
///         weft::report_stack_overflow();
///         weft::fiber f{weft::fiber_options{.name = "parser"}, [&] { parse(input); }};
///         while (!f.done()) f.resume();
///         std::printf("%zu bytes\n", weft::stack_usage(f));
///     }
///
///     weft: stack overflow in the fiber "parser": fault at 0x7f52a8d32ff8, its stack is 0x7f52a8d33000 to
///     0x7f52a8d52000, 126976 bytes, of which 126976 have been used. Give it a larger stack, or look for a recursion
///     without end.
///
/// How to choose a size, where the default (weft/stack.hpp) is too small or too large: measure, then leave room.
///   1. Run the real work, with the longest inputs and through the error paths, on a stack that is surely large enough:
///      weft::guarded_stack{16 * 1024 * 1024}. Libraries differ widely, see the table in weft/stack.hpp: an empty body
///      uses one page of 4 KiB, a std::regex_match of 2,000 characters several hundred.
///   2. Ask stack_usage() at the end. Whole pages are counted, so it is up to a page too much, never too little.
///   3. Take twice that, and measure again in a build with other options: without optimization, or with a sanitizer,
///      frames are larger.
/// A stack takes memory page by page, when it is used: a larger one costs address space. What a size limits is how soon
/// a recursion without end is found, and on 32-bit systems the number of fibers.
namespace weft {

/// From now on, a fiber or fiber_context that runs over the end of its stack says so on standard error before the
/// process dies: its name, its stack, how much of it has been used, and the address of the fault. The report is written
/// by a handler of SIGSEGV and SIGBUS, on a signal stack that each thread gets, and is async-signal-safe. After it, and
/// after any other fault, follows what would have happened without it: the handler that was installed before, or the
/// end of the process by the same signal, at the same instruction.
///
/// A fault is an overflow if it lies on the stack of the innermost fiber that runs on the thread or in the page below,
/// and at or just below its stack pointer. So a null pointer, the guard of another stack reached by a stray pointer, or
/// one of a thread is none. Without a guard page there is no fault: weft's allocators have one, and so must others that
/// want a report. A frame of more than a page can step over the guard unless it is compiled with
/// -fstack-clash-protection.
///
/// Covers the calling thread, and each thread that resumes a fiber for the first time after the call: call it early in
/// main(), and again on a thread that was late. A thread that has a signal stack keeps that. Later calls change nothing
/// else; whoever replaces the handler afterwards ends the reports. Fibers pay nothing for it.
/// AddressSanitizer and ThreadSanitizer report faults themselves: do not use both.
///
/// A library that checks contexts (README: WEFT_CHECK_CONTEXTS) reports without this call, from the first fiber on,
/// unless the program has a handler of its own for the signal: that stays, and nothing is said then.
/// \throws stack_exhausted if there is no memory for the signal stack of this thread. (Another thread goes without.)
WEFT_API void report_stack_overflow();

/// The most that has been used of the fiber's stack: the bytes from its top (which holds the body's captures) down to
/// the beginning of the lowest page that was ever touched. Reads the system's tables and touches nothing; pages that
/// were swapped out count where /proc is mounted. Costs some system calls. On any thread, while the fiber runs or not.
///
/// It is the stack that is measured. What a pool hands out again keeps the marks of the fibers before: the largest of
/// them is what you see, which is what a size is chosen by. For one fiber alone give it a guarded_stack, or a
/// stack_pool that retains none. Memory of malloc shares its pages with others, and of memory that is locked (mlockall)
/// every page counts as touched.
/// \throws std::system_error if the system does not say.
WEFT_API std::size_t stack_usage(fiber_ref fiber);

/// \throws also fiber_error if `fiber` is empty.
WEFT_API std::size_t stack_usage(const fiber& fiber);

} // namespace weft
