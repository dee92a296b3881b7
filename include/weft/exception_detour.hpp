// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/detail/sanitizer.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

/// \file
/// Exceptions in callbacks of C libraries.
///
///     struct reader {
///         weft::exception_detour detour;
///         asio::ip::tcp::socket socket;
///     };
///     ssize_t on_read(void* self, void* to, size_t room) {             // called by the library
///         reader& r = *static_cast<reader*>(self);
///         return r.detour.run([&] { return ssize_t(r.socket.async_read_some(asio::buffer(to, room), weft::use_fiber)); }, -1);
///     }
///     ...
///     const int result = library_parse(&r, on_read);                   // fails, as its callback has
///     r.detour.rethrow();                                              // with what the callback has thrown
///
/// C code does not clean up after itself when an exception passes through it. So whatever leaves a callback is kept,
/// the library is told in its own words that the callback failed, and when it has returned the exception goes on. Every
/// callback that awaits needs this, as an await throws weft::forced_unwind where its fiber is destroyed.
///
/// A library whose callbacks fail by longjmp, Lua's lua_error() and libpng's png_error(), is told so behind run(),
/// where no object waits for its destructor. (longjmp may go to any place of the same body.)
///
///     int on_call(lua_State* lua) {
///         if (!detour_of(lua).run([&] { answer(lua); })) return luaL_error(lua, "the service failed");
///         return 1;
///     }
///
/// What the library's own programs may handle (Lua's scripts, by pcall) is caught inside run() and told them as such. And
/// what they can catch, they can catch for ever: once something is kept, each run() fails at once, so where nothing else
/// ends such a loop, let the library look at failed() now and then (test/example/lua_scripts.cpp: lua_sethook).
///
/// Callbacks that are given no pointer, as those of qsort and nftw, find their state in a thread_local pointer: set
/// before the C function is called, read first of all in the callback, and set anew behind whatever that waits for, as
/// another body may have run on the thread meanwhile, and this one may be on another thread. Compilers keep the address
/// of a thread_local for as long as a function lasts: so functions of their own, not inlined, set it and read it.
///
///     thread_local order* current;
///     [[gnu::noinline]] void set_current(order* o) { current = o; }
///     [[gnu::noinline]] order* get_current() { return current; }
///
///     int compare(const void* a, const void* b) {
///         order& mine = *get_current();
///         const int result = mine.detour.run([&] { return mine.ask(a, b); }, 0);   // awaits
///         set_current(&mine);
///         return result;
///     }
///     void sort(order& mine, std::span<int> numbers) {
///         set_current(&mine);
///         std::qsort(numbers.data(), numbers.size(), sizeof(int), compare);
///         mine.detour.rethrow();
///     }
namespace weft {

/// Carries what callbacks throw around the frames of a C library. One for each flow of control that is in the library;
/// it may change threads with its body. What is kept and never rethrown is dropped with it.
class WEFT_TAGGED exception_detour {
public:
    exception_detour() noexcept = default; ///< holds nothing
    exception_detour(const exception_detour&) = delete;
    exception_detour& operator=(const exception_detour&) = delete;

    /// In the callback: calls `fn`, whose result is ignored. False if that has thrown, or if something thrown is still
    /// kept: then it is not called, and the library is to be told that the callback failed. What no exception_ptr can
    /// hold passes through the C frames, as it would in C: the end of the thread (pthread_exit, pthread_cancel), and
    /// exceptions of other languages. Without exceptions (-fno-exceptions) this is the call alone, unless a file that
    /// has them has left something here.
    template <std::invocable Fn, bool Exceptions = WEFT_EXCEPTIONS != 0> // two functions, where files differ
    bool run(Fn&& fn) {
        if (thrown_) [[unlikely]]
            return false;
        WEFT_TRY {
            static_cast<void>(std::invoke(std::forward<Fn>(fn)));
            return true;
        }
        WEFT_CATCH(...) {
            keep();
            return false;
        }
    }

    /// The same for a callback with a result: that of `fn`, or `failed`, which says failure in the library's words: an
    /// error code, a null pointer, false.
    template <std::invocable Fn, class Failed, bool Exceptions = WEFT_EXCEPTIONS != 0>
        requires(!std::is_void_v<std::invoke_result_t<Fn>> && std::convertible_to<Failed, std::invoke_result_t<Fn>>)
    std::invoke_result_t<Fn> run(Fn&& fn, Failed failed) {
        if (thrown_) [[unlikely]]
            return failed;
        WEFT_TRY {
            return std::invoke(std::forward<Fn>(fn));
        }
        WEFT_CATCH(...) {
            keep();
            return failed;
        }
    }

    /// Has a callback thrown what is not yet rethrown?
    bool failed() const noexcept { return thrown_ != nullptr; }

    /// When the C function has returned: throws what is kept, if anything is. The detour can be used again then.
    void rethrow() {
        if (thrown_) [[unlikely]]
            std::rethrow_exception(std::exchange(thrown_, nullptr));
    }

private:
    // In a handler. Throws on what cannot be held.
    void keep() { thrown_ = detail::unhandled_in_hand(); }

    std::exception_ptr thrown_;
};

} // namespace weft
