/* xdp_btf.h: the kernel's numbers of its own functions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_XDP_BTF_H
#define HWGW_XDP_BTF_H

#include <stdint.h>

/* the BTF id of a function of the running kernel, as a program's call to it names it; 0 = there is none, or the kernel
 * does not describe itself (/sys/kernel/btf/vmlinux). Reads some megabytes: for set-up */
uint32_t hwgw_btf_function(const char *name);

#endif
