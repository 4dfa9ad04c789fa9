// SPDX-License-Identifier: MIT
#include <lz4frame.h>
