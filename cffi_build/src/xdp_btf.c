/* xdp_btf.c: finds a function in the kernel's description of itself (BTF).
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: /sys/kernel/btf/vmlinux: a header, types one behind the other, strings. Types have no number in the file: they
 * are counted from 1, so all of them are walked up to the one that is wanted. Sizes by kind: linux/btf.h. Nothing is read
 * behind the file's end, whatever it says.
 */
#ifndef HWGW_NO_XDP

#include "xdp_btf.h"

#include <fcntl.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef BTF_KIND_ENUM64 /* Linux 6.0 */
#define BTF_KIND_ENUM64 19
#endif

enum { FILE_SZ_MAX = 64 << 20, CHUNK_SZ = 1 << 20 };

/* the whole file; its size cannot be asked for on every kernel */
static uint8_t *file_read(const char *path, size_t *sz) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  uint8_t *data = NULL;
  ssize_t got = 1;
  for (*sz = 0; got > 0 && *sz < FILE_SZ_MAX;) {
    uint8_t *more = realloc(data, *sz + CHUNK_SZ);
    if (!more) break;
    data = more;
    got = read(fd, data + *sz, CHUNK_SZ);
    if (got > 0) *sz += (size_t)got;
  }
  close(fd);
  return data;
}

/* bytes behind the fixed part of a type */
static size_t extra_sz(uint32_t kind, uint32_t cnt) {
  switch (kind) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
      return 4;
    case BTF_KIND_ARRAY:
      return sizeof(struct btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_DATASEC:
    case BTF_KIND_ENUM64:
      return 12 * (size_t)cnt;
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO:
      return 8 * (size_t)cnt;
    default:
      return 0;
  }
}

static uint32_t find(const uint8_t *data, size_t sz, const char *name) {
  struct btf_header header;
  if (sz < sizeof header) return 0;
  memcpy(&header, data, sizeof header);
  size_t types = (size_t)header.hdr_len + header.type_off, strings = (size_t)header.hdr_len + header.str_off;
  if (header.magic != BTF_MAGIC || types + header.type_len > sz || strings + header.str_len > sz) return 0;
  size_t name_sz = strlen(name) + 1, at = types, end = types + header.type_len;
  for (uint32_t id = 1; at + sizeof(struct btf_type) <= end; id++) {
    struct btf_type type;
    memcpy(&type, data + at, sizeof type);
    if (BTF_INFO_KIND(type.info) == BTF_KIND_FUNC && type.name_off + name_sz <= header.str_len &&
        memcmp(data + strings + type.name_off, name, name_sz) == 0) {
      return id;
    }
    at += sizeof type + extra_sz(BTF_INFO_KIND(type.info), BTF_INFO_VLEN(type.info));
  }
  return 0;
}

uint32_t hwgw_btf_function(const char *name) {
  size_t sz = 0;
  uint8_t *data = file_read("/sys/kernel/btf/vmlinux", &sz);
  uint32_t id = data ? find(data, sz, name) : 0;
  free(data);
  return id;
}

#endif
