/* Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE). */

/* A frame of C between a body and its await: compiled as C, with -fexceptions, so that exceptions may pass. */

int call_from_c(void (*callback)(void*), void* argument) {
    volatile int own = 12345; /* looked at after the call, so that the frame stays */
    callback(argument);
    return own;
}
