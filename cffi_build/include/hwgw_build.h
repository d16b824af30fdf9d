/* hwgw_build.h: what this build of the data plane is: version, commit, compiler, and what had to be left out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_BUILD_H
#define HWGW_BUILD_H

/* hwgw cdef begin */

struct hwgw_build {
  const char *version;
  const char *commit; /* of the sources, "-dirty" behind it when they were changed; "unknown" without a repository */
  const char *compiler;
  const char *march;       /* instruction set the data plane was compiled for */
  const char *xdp_missing; /* why there is no AF_XDP, "" when it is built in */
};

const struct hwgw_build *hwgw_build(void);

/* hwgw cdef end */

#endif
