// SPDX-License-Identifier: MIT
#include "CFuzzer.h"

// The header is all there is; a target needs a source file.
