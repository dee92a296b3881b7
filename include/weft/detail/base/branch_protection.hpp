// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// What this file is compiled with against branches to the wrong place, each 0 or 1. For assembly, too: nothing but the
// preprocessor's own lines.
//
//   WEFT_BTI   AArch64: an indirect branch lands only on a `bti`
//   WEFT_PAC   AArch64: a return address that rests in memory is signed
//   WEFT_IBT   x86-64: an indirect branch lands only on `endbr64`

#if defined(__ARM_FEATURE_BTI_DEFAULT)
#    define WEFT_BTI 1
#else
#    define WEFT_BTI 0
#endif

#if defined(__ARM_FEATURE_PAC_DEFAULT)
#    define WEFT_PAC 1
#else
#    define WEFT_PAC 0
#endif

#if defined(__CET__) && (__CET__ & 1)
#    define WEFT_IBT 1
#else
#    define WEFT_IBT 0
#endif
