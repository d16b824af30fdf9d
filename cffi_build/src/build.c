/* build.c: what this build of the data plane is; the values come from CMake.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hwgw_build.h"

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

#ifndef HWGW_NO_XDP
#define HWGW_NO_XDP ""
#endif

const struct hwgw_build *hwgw_build(void) {
  static const struct hwgw_build build = {
      .version = HWGW_VERSION,
      .commit = HWGW_COMMIT,
      .compiler = COMPILER,
      .march = HWGW_MARCH,
      .xdp_missing = HWGW_NO_XDP,
  };
  return &build;
}
