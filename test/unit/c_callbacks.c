/* Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE). */

/* What a C library does with callbacks: compiled as C, without -fexceptions. Each calls until one fails. */

#include "c_callbacks.h"

int c_open_calls = 0; /* frames of these functions that have not returned */

int c_with_code(int (*callback)(void*), void* argument) {
    int result = 0;
    ++c_open_calls;
    for (int n = 0; n < 5 && result >= 0; ++n) result = callback(argument);
    --c_open_calls;
    return result;
}

void* c_with_pointer(void* (*callback)(void*), void* argument) {
    void* result = argument;
    ++c_open_calls;
    for (int n = 0; n < 5 && result; ++n) result = callback(argument);
    --c_open_calls;
    return result;
}

bool c_with_bool(bool (*callback)(void*), void* argument) {
    bool result = true;
    ++c_open_calls;
    for (int n = 0; n < 5 && result; ++n) result = callback(argument);
    --c_open_calls;
    return result;
}

/* Goes on in spite of failures, as qsort does. */
int c_without_error(int (*callback)(void*), void* argument) {
    int sum = 0;
    ++c_open_calls;
    for (int n = 0; n < 5; ++n) sum += callback(argument);
    --c_open_calls;
    return sum;
}

/* In the style of libpng: a callback fails by a call that does not return. */
struct c_jumper {
    jmp_buf back;
};
int c_with_jump(void (*callback)(struct c_jumper*, void*), void* argument) {
    struct c_jumper jumper;
    ++c_open_calls;
    const int failed = setjmp(jumper.back);
    if (!failed)
        for (int n = 0; n < 5; ++n) callback(&jumper, argument);
    --c_open_calls;
    return failed ? -1 : 0;
}
void c_fail(struct c_jumper* jumper) { longjmp(jumper->back, 1); }
