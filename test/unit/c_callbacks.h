/* Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE). */
#ifndef C_CALLBACKS_H
#define C_CALLBACKS_H

#include <setjmp.h>
#include <stdbool.h>

#if defined(__cplusplus)
extern "C" {
#endif

struct c_jumper;
extern int c_open_calls;
int c_with_code(int (*callback)(void*), void* argument);
void* c_with_pointer(void* (*callback)(void*), void* argument);
bool c_with_bool(bool (*callback)(void*), void* argument);
int c_without_error(int (*callback)(void*), void* argument);
int c_with_jump(void (*callback)(struct c_jumper*, void*), void* argument);
void c_fail(struct c_jumper* jumper);

#if defined(__cplusplus)
}
#endif

#endif
