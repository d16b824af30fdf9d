/* rx_pcap.c: receive from a capture file: pcap (microseconds and nanoseconds) and pcapng, both byte orders.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: the mapped file; frames point into it, so nothing is copied.
 *
 * Output: Ethernet frames with the capture time; queue is the interface of a pcapng file, counted within its section.
 * Magic numbers, block types and options are those of hwgw/specs/pcapng.yaml.
 *
 * pcapng: section headers, interface descriptions (if_tsresol, if_tsoffset), enhanced, simple and obsolete packet
 * blocks; other blocks are skipped. Link types other than Ethernet are refused at open when they are named before the
 * first packet.
 *
 * Damage: a record whose own lengths contradict each other or that names an interface that is not Ethernet is one
 * drop_file, and reading goes on when the file's framing still holds; when it does not (the file ends inside the
 * record, a block length cannot be, the two lengths of a block differ) reading ends there, with one drop_file, and
 * describe says where. A frame that the capture itself cut off (snap length) is drop_truncated. No byte outside the
 * file is read.
 *
 * With capture_time a frame is held back until as much time has passed since the first poll as lies between it and the
 * first frame; else frames come at once.
 *
 * Cost: no system call (but page faults); capture_time reads the clock each poll. The file must not shrink while it is
 * read.
 *
 * Thread: one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rx.h"

#define NS_PER_S 1000000000u

enum {
  PCAP_HEADER_LEN = 24,
  PCAP_RECORD_LEN = 16,
  PCAP_CAPTURED_MAX = 256 << 10, /* the largest snap length capture programs use; beyond it the record is damaged */
  INTERFACES_MAX = 256
};

struct capture_interface {
  uint32_t snap_len; /* 0 = no limit */
  uint16_t link_type;
  uint8_t resolution; /* as in if_tsresol: 10^-n, or 2^-n with the high bit */
  int64_t offset_s;
};

struct rx_pcap {
  struct hwgw_rx base;
  const uint8_t *file;
  uint64_t size;
  uint64_t at;    /* next record */
  bool is_mapped; /* by us: close unmaps it */
  bool is_ng;
  bool swap; /* the file has the other byte order */
  bool ended;
  bool pace;
  bool pace_started;
  uint64_t pace_wall_ns; /* clock at the first frame */
  uint64_t pace_file_ns; /* capture time of the first frame */
  uint64_t damaged;
  uint64_t damaged_at; /* where reading ended, 0 = it did not */
  uint64_t damaged_noted;
  uint32_t interface_cnt;
  struct capture_interface interfaces[INTERFACES_MAX];
};

/* one record: next is where the following one begins; data is NULL when it carries no frame */
struct record {
  uint64_t next;
  const uint8_t *data;
  uint32_t captured;
  uint32_t original;
  uint64_t ts_ns;
  uint16_t interface;
  bool is_damaged;
};

static uint16_t get16(const struct rx_pcap *pcap, uint64_t at) {
  uint16_t v;
  memcpy(&v, pcap->file + at, sizeof v);
  return pcap->swap ? __builtin_bswap16(v) : v;
}

static uint32_t get32(const struct rx_pcap *pcap, uint64_t at) {
  uint32_t v;
  memcpy(&v, pcap->file + at, sizeof v);
  return pcap->swap ? __builtin_bswap32(v) : v;
}

static uint64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* the framing is lost: one drop, and the end */
static void stop(struct rx_pcap *pcap) {
  pcap->damaged++;
  pcap->damaged_at = pcap->at;
  pcap->ended = true;
}

static uint64_t time_scale(const struct capture_interface *interface, uint64_t units) {
  uint32_t exponent = interface->resolution & 0x7F;
  uint64_t ns;
  if (interface->resolution & 0x80) {
    unsigned __int128 seconds = exponent < 64 ? units >> exponent : 0;
    unsigned __int128 rest = exponent < 64 ? units & ((1ull << exponent) - 1) : units;
    ns = (uint64_t)(seconds * NS_PER_S + (rest * NS_PER_S >> exponent));
  } else {
    ns = units;
    for (; exponent < 9; exponent++) ns *= 10;
    for (; exponent > 9 && ns; exponent--) ns /= 10;
  }
  return ns + (uint64_t)interface->offset_s * NS_PER_S;
}

/* next record of a pcap file; false when the framing is lost */
static bool record_pcap(const struct rx_pcap *pcap, struct record *record) {
  uint64_t left = pcap->size - pcap->at;
  if (left < PCAP_RECORD_LEN) return false;
  record->captured = get32(pcap, pcap->at + 8);
  record->original = get32(pcap, pcap->at + 12);
  if (record->captured > PCAP_CAPTURED_MAX || record->captured > left - PCAP_RECORD_LEN) return false;
  record->is_damaged = record->captured > record->original;
  record->data = pcap->file + pcap->at + PCAP_RECORD_LEN;
  record->ts_ns =
      time_scale(&pcap->interfaces[0],
                 (uint64_t)get32(pcap, pcap->at) *
                         (pcap->interfaces[0].resolution == HWGW_PCAPNG_RESOLUTION_NS ? NS_PER_S : 1000000u) +
                     get32(pcap, pcap->at + 4));
  record->next = pcap->at + PCAP_RECORD_LEN + record->captured;
  return true;
}

/* interface description: what stands in front of the options, then the two options that matter */
static void interface_read(struct rx_pcap *pcap, uint64_t at, uint64_t end) {
  if (end - at < 8 || pcap->interface_cnt == INTERFACES_MAX) {
    pcap->damaged++;
    return;
  }
  struct capture_interface *interface = &pcap->interfaces[pcap->interface_cnt++];
  *interface = (struct capture_interface){
      .link_type = get16(pcap, at), .snap_len = get32(pcap, at + 4), .resolution = HWGW_PCAPNG_RESOLUTION_US};
  for (at += 8; end - at >= 4;) {
    uint32_t code = get16(pcap, at), len = get16(pcap, at + 2);
    at += 4;
    if (code == 0 || len > end - at) return;
    if (code == HWGW_PCAPNG_INTERFACE_TSRESOL && len == 1) interface->resolution = pcap->file[at];
    if (code == HWGW_PCAPNG_INTERFACE_TSOFFSET && len == 8) {
      uint64_t low = get32(pcap, at + (pcap->swap ? 4 : 0)), high = get32(pcap, at + (pcap->swap ? 0 : 4));
      interface->offset_s = (int64_t)(high << 32 | low);
    }
    uint64_t padded = (len + 3u) & ~3u;
    if (padded > end - at) return;
    at += padded;
  }
}

/* a packet block's body from at to end: fills what the record carries, or marks it damaged */
static void packet_read(const struct rx_pcap *pcap, uint32_t type, uint64_t at, uint64_t end, struct record *record) {
  uint32_t fixed = type == HWGW_PCAPNG_BLOCK_TYPE_SIMPLE_PACKET ? 4 : 20;
  record->is_damaged = true;
  if (end - at < fixed) return;
  uint32_t index = type == HWGW_PCAPNG_BLOCK_TYPE_ENHANCED_PACKET   ? get32(pcap, at)
                   : type == HWGW_PCAPNG_BLOCK_TYPE_PACKET_OBSOLETE ? get16(pcap, at)
                                                                    : 0;
  if (index >= pcap->interface_cnt || pcap->interfaces[index].link_type != HWGW_PCAPNG_LINK_TYPE_ETHERNET) return;
  const struct capture_interface *interface = &pcap->interfaces[index];
  record->interface = (uint16_t)index;
  if (type == HWGW_PCAPNG_BLOCK_TYPE_SIMPLE_PACKET) {
    record->original = get32(pcap, at);
    bool is_cut = interface->snap_len && interface->snap_len < record->original;
    record->captured = is_cut ? interface->snap_len : record->original;
    record->ts_ns = 0;
  } else {
    record->ts_ns = time_scale(interface, (uint64_t)get32(pcap, at + 4) << 32 | get32(pcap, at + 8));
    record->captured = get32(pcap, at + 12);
    record->original = get32(pcap, at + 16);
  }
  if (record->captured > end - at - fixed || record->captured > record->original) return;
  record->data = pcap->file + at + fixed;
  record->is_damaged = false;
}

/* next block of a pcapng file; false when the framing is lost */
static bool record_pcapng(struct rx_pcap *pcap, struct record *record) {
  uint64_t left = pcap->size - pcap->at;
  if (left < HWGW_PCAPNG_BLOCK_LEN_MIN) return false;
  uint32_t type = get32(pcap, pcap->at);
  if (type == HWGW_PCAPNG_BLOCK_TYPE_SECTION_HEADER) {
    uint32_t order;
    if (left < HWGW_PCAPNG_BLOCK_LEN_MIN + 16) return false;
    memcpy(&order, pcap->file + pcap->at + 8, sizeof order);
    if (order != HWGW_PCAPNG_BYTE_ORDER_MAGIC && order != __builtin_bswap32(HWGW_PCAPNG_BYTE_ORDER_MAGIC)) return false;
    pcap->swap = order != HWGW_PCAPNG_BYTE_ORDER_MAGIC;
    pcap->interface_cnt = 0;
    if (get16(pcap, pcap->at + 12) != 1) return false; /* another major version: another framing */
  }
  uint32_t len = get32(pcap, pcap->at + 4);
  if (len < HWGW_PCAPNG_BLOCK_LEN_MIN || len % 4 || len > left || get32(pcap, pcap->at + len - 4) != len) return false;
  uint64_t body = pcap->at + 8, end = pcap->at + len - 4;
  record->next = pcap->at + len;
  if (type == HWGW_PCAPNG_BLOCK_TYPE_INTERFACE_DESCRIPTION) interface_read(pcap, body, end);
  if (type == HWGW_PCAPNG_BLOCK_TYPE_ENHANCED_PACKET || type == HWGW_PCAPNG_BLOCK_TYPE_SIMPLE_PACKET ||
      type == HWGW_PCAPNG_BLOCK_TYPE_PACKET_OBSOLETE) {
    packet_read(pcap, type, body, end, record);
  }
  return true;
}

static bool record_next(struct rx_pcap *pcap, struct record *record) {
  *record = (struct record){0};
  return pcap->is_ng ? record_pcapng(pcap, record) : record_pcap(pcap, record);
}

/* holds a frame back until its time has come */
static bool is_early(struct rx_pcap *pcap, uint64_t ts_ns, uint64_t now_ns) {
  if (!pcap->pace_started) {
    pcap->pace_started = true;
    pcap->pace_wall_ns = now_ns;
    pcap->pace_file_ns = ts_ns;
  }
  return ts_ns > pcap->pace_file_ns && ts_ns - pcap->pace_file_ns > now_ns - pcap->pace_wall_ns;
}

static uint32_t pcap_poll(struct hwgw_rx *rx, struct hwgw_frame *frames, uint32_t max) {
  struct rx_pcap *pcap = (struct rx_pcap *)rx;
  uint64_t now = hwgw_rdtsc();
  uint64_t now_ns = pcap->pace ? clock_ns() : 0;
  uint32_t cnt = 0;
  while (cnt < max && !pcap->ended) {
    if (pcap->at == pcap->size) {
      pcap->ended = true;
      break;
    }
    struct record record;
    if (!record_next(pcap, &record)) {
      stop(pcap);
      break;
    }
    if (record.is_damaged) {
      pcap->damaged++;
    } else if (record.captured < record.original) {
      rx->count.truncated++;
    } else if (record.data) {
      if (pcap->pace && record.ts_ns && is_early(pcap, record.ts_ns, now_ns)) break;
      frames[cnt++] = (struct hwgw_frame){.data = record.data,
                                          .len = record.captured,
                                          .flow = HWGW_FLOW_NONE,
                                          .queue = record.interface,
                                          .t_rx = now,
                                          .ts_ns = record.ts_ns};
      rx->count.bytes += record.captured;
    }
    pcap->at = record.next;
  }
  return cnt;
}

static void pcap_release(struct hwgw_rx *rx) {
  (void)rx; /* frames stay in the file */
}

static void pcap_stats(struct hwgw_rx *rx, uint64_t *counters) {
  struct rx_pcap *pcap = (struct rx_pcap *)rx;
  counters[HWGW_CNT_RX_DROP_FILE] = pcap->damaged;
  if (pcap->damaged_at && !pcap->damaged_noted) {
    pcap->damaged_noted = pcap->damaged_at;
    hwgw_rx_note(rx, "; damaged at byte %llu, the rest could not be read", (unsigned long long)pcap->damaged_at);
  }
}

static bool pcap_ended(const struct hwgw_rx *rx) {
  return ((const struct rx_pcap *)rx)->ended;
}

static void pcap_close(struct hwgw_rx *rx) {
  struct rx_pcap *pcap = (struct rx_pcap *)rx;
  if (pcap->is_mapped) hwgw_rx_unmap(rx, (void *)(uintptr_t)pcap->file, pcap->size);
  free(pcap);
}

static const char *link_name(uint32_t link_type) {
  switch (link_type) {
    case HWGW_PCAPNG_LINK_TYPE_BSD_LOOPBACK:
      return "BSD loopback";
    case HWGW_PCAPNG_LINK_TYPE_RAW_IP:
    case HWGW_PCAPNG_LINK_TYPE_RAW_IP_LINK:
      return "raw IP";
    case HWGW_PCAPNG_LINK_TYPE_LINUX_COOKED:
      return "Linux cooked";
    case HWGW_PCAPNG_LINK_TYPE_LINUX_COOKED_V2:
      return "Linux cooked v2";
    default:
      return "not Ethernet";
  }
}

static int32_t link_check(const struct rx_pcap *pcap, const char *path, struct hwgw_error *error) {
  for (uint32_t i = 0; i < pcap->interface_cnt; i++) {
    uint32_t type = pcap->interfaces[i].link_type;
    if (type == HWGW_PCAPNG_LINK_TYPE_ETHERNET) continue;
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0,
                          "rx pcap: %s: link type %u (%s); only Ethernet (1) can be read: capture on one interface, "
                          "not on \"any\"",
                          path, type, link_name(type));
  }
  return HWGW_OK;
}

/* tells the format and reads everything in front of the first packet */
static int32_t header_read(struct rx_pcap *pcap, const char *path, struct hwgw_error *error) {
  uint32_t magic = 0;
  if (pcap->size >= sizeof magic) memcpy(&magic, pcap->file, sizeof magic);
  uint32_t swapped = __builtin_bswap32(magic);
  if (magic == HWGW_PCAPNG_BLOCK_TYPE_SECTION_HEADER) {
    pcap->is_ng = true;
    while (pcap->at < pcap->size) {
      struct record record;
      uint32_t type = pcap->size - pcap->at >= 4 ? get32(pcap, pcap->at) : 0;
      bool is_packet = type == HWGW_PCAPNG_BLOCK_TYPE_ENHANCED_PACKET || type == HWGW_PCAPNG_BLOCK_TYPE_SIMPLE_PACKET ||
                       type == HWGW_PCAPNG_BLOCK_TYPE_PACKET_OBSOLETE;
      if (pcap->at > 0 && (is_packet || type == HWGW_PCAPNG_BLOCK_TYPE_SECTION_HEADER)) break;
      if (!record_next(pcap, &record)) {
        if (pcap->at > 0) break; /* poll meets it again and counts it */
        return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx pcap: %s: the pcapng section header is damaged", path);
      }
      pcap->at = record.next;
    }
  } else if (magic == HWGW_PCAPNG_PCAP_MAGIC_US || magic == HWGW_PCAPNG_PCAP_MAGIC_NS ||
             swapped == HWGW_PCAPNG_PCAP_MAGIC_US || swapped == HWGW_PCAPNG_PCAP_MAGIC_NS) {
    pcap->swap = swapped == HWGW_PCAPNG_PCAP_MAGIC_US || swapped == HWGW_PCAPNG_PCAP_MAGIC_NS;
    if (pcap->size < PCAP_HEADER_LEN) {
      return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx pcap: %s: ends inside the file header", path);
    }
    bool is_ns = magic == HWGW_PCAPNG_PCAP_MAGIC_NS || swapped == HWGW_PCAPNG_PCAP_MAGIC_NS;
    pcap->interface_cnt = 1; /* the upper half of the link type word holds the length of an FCS */
    pcap->interfaces[0].link_type = (uint16_t)get32(pcap, 20);
    pcap->interfaces[0].resolution = is_ns ? HWGW_PCAPNG_RESOLUTION_NS : HWGW_PCAPNG_RESOLUTION_US;
    pcap->at = PCAP_HEADER_LEN;
  } else {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, 0, "rx pcap: %s: neither pcap nor pcapng (starts with %08x)", path,
                          swapped);
  }
  return link_check(pcap, path, error);
}

int32_t hwgw_rx_pcap_memory(struct hwgw_rx **rx, const uint8_t *file, uint64_t size, const struct hwgw_rx_cfg *cfg,
                            struct hwgw_error *error) {
  const char *path = cfg->path ? cfg->path : "";
  struct rx_pcap *pcap = calloc(1, sizeof *pcap);
  if (!pcap) return hwgw_error_set(error, HWGW_ERR_INTERNAL, ENOMEM, "rx pcap: no memory");
  pcap->base.ops = &hwgw_rx_pcap;
  pcap->base.live = &pcap->base;
  pcap->base.clock = HWGW_RX_CLOCK_CAPTURE;
  pcap->file = file;
  pcap->size = size;
  pcap->pace = cfg->capture_time;
  int32_t status = header_read(pcap, path, error);
  if (status) {
    pcap_close(&pcap->base);
    return status;
  }
  hwgw_rx_note(&pcap->base, "pcap: %.400s, %s, %llu bytes%s", path, pcap->is_ng ? "pcapng" : "pcap",
               (unsigned long long)size, pcap->pace ? ", at capture time" : "");
  *rx = &pcap->base;
  return HWGW_OK;
}

static int32_t pcap_open(struct hwgw_rx **rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  const char *path = cfg->path ? cfg->path : "";
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info = {0};
  if (fd < 0 || fstat(fd, &info)) {
    int cause = errno;
    if (fd >= 0) close(fd);
    return hwgw_error_set(error, cause == EACCES ? HWGW_ERR_PRIVILEGE : HWGW_ERR_CONFIG, cause, "rx pcap: %s: %s", path,
                          strerror(cause));
  }
  uint64_t size = (uint64_t)info.st_size;
  void *file = MAP_FAILED;
  int cause = 0;
  if (S_ISREG(info.st_mode) && size > 0) {
    file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    cause = errno;
  }
  close(fd);
  if (file == MAP_FAILED) {
    return hwgw_error_set(error, HWGW_ERR_CONFIG, cause, "rx pcap: %s: %s", path,
                          cause ? strerror(cause) : "not a regular file, or empty");
  }
  madvise(file, size, MADV_SEQUENTIAL);
  int32_t status = hwgw_rx_pcap_memory(rx, file, size, cfg, error);
  if (status) {
    munmap(file, size);
  } else {
    ((struct rx_pcap *)*rx)->is_mapped = true;
  }
  return status;
}

static bool pcap_available(char *text, uint32_t sz) {
  (void)text;
  (void)sz;
  return true;
}

const struct hwgw_rx_ops hwgw_rx_pcap = {
    .name = "pcap",
    .keeps_memory = true,
    .open = pcap_open,
    .poll = pcap_poll,
    .release = pcap_release,
    .stats = pcap_stats,
    .ended = pcap_ended,
    .close = pcap_close,
    .available = pcap_available,
};
