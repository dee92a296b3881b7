// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>

#include <concepts>
#include <cstddef>
#include <new>

/// \file
/// Stacks for fibers.
///
///     weft::fiber a{body};                                                      // from the process-wide stack_pool
///     weft::fiber b{std::allocator_arg, weft::guarded_stack{1024 * 1024}, body}; // a mapping of its own
///     weft::stack_pool pool{64 * 1024};
///     weft::fiber c{std::allocator_arg, pool.allocator(), body};                // from a pool of your own
///
///     weft::fiber d{weft::fiber_options{.stack_size = 2 * 1024 * 1024}, body};   // from the process-wide pool of that size
///     weft::set_default_stack_size(64 * 1024);                                  // the size of a, from now on
///
/// How large? Memory is used page by page as a stack grows, so a generous size costs address space and page tables
/// only. The default, half a MiB, carries what C libraries use within their own limits. Bytes on x86-64, GCC 12, glibc
/// 2.36, by test/example/stack_need, which measures the libraries of your system:
///
///     what a body does                                                     bytes
///     SQLite: a sum of 990 terms                                         401,408
///     SQLite: 200 compound selects                                       106,496
///     Lua: string.gsub, nested up to Lua's limit                         421,888
///     Lua: pcall, nested up to Lua's limit                               155,648
///     Lua: table.sort below 150 nested coroutines                        102,400
///     printf of the largest long double, "%Lf"                            40,960
///     OpenSSL: an RSA key and a certificate                               16,384
///     getaddrinfo                                                         12,288
///     libarchive, expat, zlib, zstd, bzip2                        4,096 to 8,192
///     std::regex_match of 2,000 characters                             1,507,328, more than the default
///
/// Smaller sizes are for programs that hold a hundred thousand stacks and more, or whose address space counts: under
/// ulimit -v, where all memory is locked (mlockall, which takes memory for whole stacks), and where the system promises
/// no more memory than it has (vm.overcommit_memory=2, which counts whole stacks). A fiber that runs over its end hits
/// the guard page and dies by a fault; it never writes into another one's memory. weft/stack_overflow.hpp reports it,
/// and measures what a body needs.
namespace weft {

/// A piece of memory to run on: `size` bytes that end just below `sp` (stacks grow down).
struct stack {
    std::size_t size = 0; ///< in bytes
    void* sp = nullptr;   ///< the first address above
};

/// Hands out stacks: `allocate()` returns an object with `sp` and `size`, `deallocate` takes it back and does not
/// throw. weft's allocators model it, and so do Boost.Context's, unchanged. A copy of the allocator is kept with each
/// stack and must be able to give it back; a stack may be given back on another thread than it was allocated on.
template <class A>
concept stack_allocator = std::copy_constructible<A> && requires(A allocator) {
    { allocator.allocate().size } -> std::convertible_to<std::size_t>;
    { allocator.allocate().sp } -> std::convertible_to<void*>;
    allocator.deallocate(*static_cast<decltype(allocator.allocate())*>(nullptr));
};

/// No stack could be had, or no memory for what is to be known of it: memory, address space, what may be locked or the
/// kernel's limit on mappings is used up, or the system forbids it. what() says which, and names the limit.
class WEFT_EXPORT stack_exhausted : public std::bad_alloc {
public:
    explicit stack_exhausted(std::size_t bytes) noexcept; ///< reads errno
    const char* what() const noexcept override; ///< how much was asked for, and what to raise

private:
    char sentence_[320];
};

/// The size in bytes of the system's memory pages; every stack size is rounded up to a multiple of it.
WEFT_API std::size_t page_size() noexcept;

/// The size of stacks where none is named. Unless it was set it is 500 KiB, which with its guard page and the one in
/// which a pool shifts the top is a page less than half a MiB: with their page tables, a million suspended fibers then
/// take some 5.0 KiB each. (With pages of 16 KiB it is 464 KiB, with such of 64 KiB 576.) In 32-bit programs, which
/// have address space for few stacks of that size, it is 104 KiB. Under AddressSanitizer, which makes frames larger,
/// twice as much.
WEFT_API std::size_t default_stack_size() noexcept;

/// Sets it for the process, for all stacks that are taken from then on; those that are in use stay as they are, and
/// what is idle is not used for it. It is rounded up to one of four sizes between a power of two and the next (… 64,
/// 80, 96, 112, 128 KiB …), so that there are few pools: default_stack_size() says which. Any thread may call it at any
/// time. Call it before the first fiber is made: after that, making one takes a call more for as long as the process
/// lives. See also WEFT_DEFAULT_STACK_SIZE.
/// \throws std::invalid_argument as guarded_stack does: then nothing has changed; stack_exhausted if there is no memory
/// for what is to be known of it.
WEFT_API void set_default_stack_size(std::size_t bytes);

/// The least size in bytes that a stack may be asked for.
inline constexpr std::size_t minimum_stack_size = 4096;

namespace detail {
/// For WEFT_DEFAULT_STACK_SIZE.
struct program_stack_size {
    explicit program_stack_size(std::size_t bytes) { set_default_stack_size(bytes); }
};
} // namespace detail

/// \cond
#if defined(__APPLE__)
#    define WEFT_BEFORE_OTHERS // not known there: among the file's own objects, in their order
#else
#    define WEFT_BEFORE_OTHERS __attribute__((init_priority(101)))
#endif
/// \endcond

/// Sets the default size when a program is compiled: put it once, at namespace scope, into one file of the program.
///
///     WEFT_DEFAULT_STACK_SIZE(128 * 1024);
///
/// It calls set_default_stack_size() before the program's other objects in static storage are made (on macOS: before
/// those that follow in its file), whether weft is a shared library or not; where there are several copies of weft, for
/// the one that its file is linked to. A second one in the same program or shared object does not link: "multiple
/// definition of weft_default_stack_size_of_this_program".
#define WEFT_DEFAULT_STACK_SIZE(bytes)                                                                                 \
    extern "C" __attribute__((                                                                                         \
        visibility("hidden"))) ::weft::detail::program_stack_size weft_default_stack_size_of_this_program;             \
    WEFT_BEFORE_OTHERS ::weft::detail::program_stack_size weft_default_stack_size_of_this_program(bytes);              \
    static_assert((bytes) >= ::weft::minimum_stack_size,                                                               \
                  "weft: WEFT_DEFAULT_STACK_SIZE is too small for a frame: name "                                      \
                  "4096 bytes or more")

/// How guard pages are made.
enum class guard_method {
    install, ///< MADV_GUARD_INSTALL (Linux 6.13): costs no mapping, so vm.max_map_count does not limit the fibers
    protect, ///< mprotect(PROT_NONE): every stack costs two mappings
};
/// The way that this process prefers: tried out at the first stack, and again as long as that gives no answer. Where
/// the kernel refuses to install a guard later, in locked memory (mlock, mlockall) or behind a filter of system calls,
/// that stack's is protected instead. Under mlockall(MCL_FUTURE) pools lock the memory of all the stacks they map at
/// once: of up to twice as many as are in use.
WEFT_API guard_method guards() noexcept;

/// A stack allocator: each stack is a mapping of its own with a guard page below. Costs two or three system calls each
/// way. Any number of threads may use it.
class WEFT_API guarded_stack {
public:
    /// \throws std::invalid_argument if `size` is less than minimum_stack_size or too large to map.
    explicit guarded_stack(std::size_t size = default_stack_size());

    /// \throws stack_exhausted; no stack is ever handed out without its guard.
    stack allocate() const;
    /// Unmaps it, on any thread.
    void deallocate(const stack& s) const noexcept;

private:
    std::size_t size_;
};

struct WEFT_API default_stack_allocator;

/// Keeps stacks of one size for reuse, side by side in a few large mappings. Thread-safe; a stack may come back on any
/// thread. The memory of what is kept beyond `retained` stacks is given back to the system at once, the address space
/// by trim(). A child process of fork() has copies of all stacks and may use the pool.
class WEFT_API stack_pool {
public:
    /// What fibers hold: refers to the pool, which must outlive every stack taken from it.
    class allocator_type {
    public:
        /// Of `pool`; see stack_pool::allocator().
        explicit allocator_type(stack_pool& pool) noexcept : pool_{&pool} {}
        stack allocate() const { return pool_->allocate(); }                     ///< See stack_pool::allocate.
        void deallocate(const stack& s) const noexcept { pool_->deallocate(s); } ///< Likewise.

    private:
        stack_pool* pool_;
    };

    /// \param size usable bytes of each stack, at least; up to a page more, as their tops are shifted by cache lines.
    /// \param retained how many idle stacks are kept at most.
    /// \throws std::invalid_argument if guarded_stack refuses `size`; stack_exhausted if there is no memory for the pool.
    explicit stack_pool(std::size_t size = default_stack_size(), std::size_t retained = 1024);
    ~stack_pool();
    stack_pool(const stack_pool&) = delete;
    stack_pool& operator=(const stack_pool&) = delete;

    /// What a fiber is given to take its stack from here.
    allocator_type allocator() noexcept { return allocator_type{*this}; }

    /// \throws stack_exhausted.
    stack allocate();
    /// Takes a stack of this pool back, on any thread.
    void deallocate(const stack& s) noexcept;

    /// Gives all idle stacks back to the system; of a process-wide pool also the calling thread's own.
    void trim() noexcept;
    /// How many idle stacks the pool keeps now; of the process-wide pool also the calling thread's own.
    std::size_t idle() const noexcept;

    /// The pool that fibers use when neither an allocator nor a size is named: another one when the default size has
    /// been set. Never destroyed. \throws stack_exhausted if it has to be made and there is no memory for it.
    static stack_pool& process();
    /// The pool that fibers use whose options name this size (see fiber_options), rounded up as by
    /// set_default_stack_size(). Made when it is first asked for, never destroyed.
    /// \throws as the constructor.
    static stack_pool& process(std::size_t size);

private:
    friend struct default_stack_allocator;
    friend void watch_forks(); // lib/stack/process_pools.h
    struct state;
    state* state_;
};

/// The stack allocator of a fiber that names none: the process-wide pool, of which each thread keeps up to 16 idle
/// stacks for itself until it ends. Taking one of those costs neither a lock nor an atomic operation. Of fibers that
/// have ended a thread keeps up to 16, too, with their stacks, which then count as idle: the next ones are made of
/// them.
struct WEFT_API default_stack_allocator {
    stack allocate() const; ///< \throws stack_exhausted.
    void deallocate(stack s) const noexcept; ///< On any thread.
};

} // namespace weft
