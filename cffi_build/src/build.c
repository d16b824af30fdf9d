/* build.c: what this build of the data plane is; the values come from CMake.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hwgw_build.h"

#ifndef HWGW_NO_XDP
#define HWGW_NO_XDP ""
#endif

const struct hwgw_build *hwgw_build(void) {
  static const struct hwgw_build build = {
      .version = HWGW_VERSION,
      .commit = HWGW_COMMIT,
      .compiler = __VERSION__,
      .march = HWGW_MARCH,
      .xdp_missing = HWGW_NO_XDP,
  };
  return &build;
}
