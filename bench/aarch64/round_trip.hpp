// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <utility>

// What the traced programs share. Each peer is a type with
//   explicit peer(void (*body)(peer::inside))   a context that will run `body`, which never returns
//   void resume()                               into the body
//   struct inside { void suspend(); }           what the body has: out of it
// and its program is `int main(int argc, char** argv) { return trace<peer>(argc, argv); }`.

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NEVER_INLINE __attribute__((noinline))

// The marks between which trace_plugin.cpp counts: hints that no processor gives a meaning, so that they do nothing.
ALWAYS_INLINE void begin_counting() { asm volatile("hint #112" ::: "memory"); }
ALWAYS_INLINE void end_counting() { asm volatile("hint #113" ::: "memory"); }

// Three ordinary calls between a loop and its switch. Each function does something after the call it makes, so that the
// call is not a jump.
using leaf = void (*)(void*);
ALWAYS_INLINE void work_after_call() { asm volatile("" ::: "memory"); }
ALWAYS_INLINE void other_work_after_call() { asm volatile("// other" ::: "memory"); } // equal functions would be merged

// Flat: the switch stands in the loop.
struct flat {
    template <class Peer>
    static NEVER_INLINE void resume(Peer& peer, std::size_t rounds) {
        for (; rounds != 0; --rounds) peer.resume();
    }
    template <class Inside>
    static NEVER_INLINE void suspend(Inside inside) {
        for (;;) inside.suspend();
    }
};

// Deep: in every round each side calls down through three functions to its switch and returns through them. Both sides
// go through the same functions: then the returns that one side is about to make are those that the other's calls have
// just announced, and a switch that leaves the return stack alone costs no miss.
struct deep {
    static NEVER_INLINE void first(leaf last, void* side) {
        second(last, side);
        work_after_call();
    }
    static NEVER_INLINE void second(leaf last, void* side) {
        last(side);
        work_after_call();
    }
    static NEVER_INLINE void loop(std::size_t rounds, leaf last, void* side) {
        for (; rounds != 0; --rounds) first(last, side);
    }

    template <class Peer>
    static void resume(Peer& peer, std::size_t rounds) {
        loop(rounds, unknown([](void* p) {
                 static_cast<Peer*>(p)->resume();
                 work_after_call();
             }),
             &peer);
    }
    template <class Inside>
    static void suspend(Inside inside) {
        loop(~std::size_t{0}, unknown([](void* i) {
                 static_cast<Inside*>(i)->suspend();
                 work_after_call();
             }),
             &inside);
    }

private:
    static ALWAYS_INLINE leaf unknown(leaf last) { // else a compiler may make a copy of the three functions for each
        asm("" : "+r"(last));
        return last;
    }
};

// Apart: as deep, but each side has functions of its own. The returns of one side are then not those that the other's
// calls have announced: three misses on each side, whatever the switch does.
struct apart {
    template <class Peer>
    static NEVER_INLINE void resume_first(Peer& peer) {
        resume_second(peer);
        work_after_call();
    }
    template <class Peer>
    static NEVER_INLINE void resume_second(Peer& peer) {
        resume_last(peer);
        work_after_call();
    }
    template <class Peer>
    static NEVER_INLINE void resume_last(Peer& peer) {
        peer.resume();
        work_after_call();
    }
    template <class Inside>
    static NEVER_INLINE void suspend_first(Inside& inside) {
        suspend_second(inside);
        other_work_after_call();
    }
    template <class Inside>
    static NEVER_INLINE void suspend_second(Inside& inside) {
        suspend_last(inside);
        other_work_after_call();
    }
    template <class Inside>
    static NEVER_INLINE void suspend_last(Inside& inside) {
        inside.suspend();
        other_work_after_call();
    }

    template <class Peer>
    static NEVER_INLINE void resume(Peer& peer, std::size_t rounds) {
        for (; rounds != 0; --rounds) resume_first(peer);
    }
    template <class Inside>
    static NEVER_INLINE void suspend(Inside inside) {
        for (;;) suspend_first(inside);
    }
};

// Two sections: what the longer one has more belongs to its further rounds alone. The first rounds are not counted.
constexpr std::size_t rounds_less = 100, rounds_more = 200;

template <class Form, class Peer>
NEVER_INLINE void count(Peer& peer, std::size_t rounds) {
    begin_counting();
    Form::resume(peer, rounds);
    end_counting();
}

template <class Peer, class Form>
int trace_form() {
    Peer peer{[](typename Peer::inside self) { Form::suspend(std::move(self)); }};
    Form::resume(peer, rounds_less);
    count<Form>(peer, rounds_less);
    count<Form>(peer, rounds_more);
    return 0;
}

template <class Peer>
int trace(int argc, char** argv) {
    const char* const form = argc == 2 ? argv[1] : "";
    if (std::strcmp(form, "flat") == 0) return trace_form<Peer, flat>();
    if (std::strcmp(form, "deep") == 0) return trace_form<Peer, deep>();
    if (std::strcmp(form, "apart") == 0) return trace_form<Peer, apart>();
    std::fprintf(stderr, "usage: %s flat|deep|apart\n", argc > 0 ? argv[0] : "peer");
    return 2;
}
