/* pipeline_reference.c: the baseline of the pipeline's benchmark: frame to order bytes as one would write it first.
 *
 * SPDX-License-Identifier: MIT
 *
 * Every field is read byte by byte, orders are allocated one by one and found through a chained hash table, the price
 * levels of a side are a linked list from the best price on. Ethernet, IPv4, UDP and MoldUDP64 headers are taken at
 * their fixed places with the checks that keep it from reading what is not there; a handful of limits stands for the
 * gate; there is no shared segment, no counter per cause, no histogram, no feed state. It fires like
 * pipeline_driver.c's strategy and must send the same orders.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bytes.h"

#define EXPORT __attribute__((visibility("default")))
#define BUCKETS (1u << 20)
#define LOCATES 65536
#define HEADERS_LEN (14 + 20 + 8)
#define MOLD_LEN 20
#define SESSION_TICKS 13000 /* 5 us at 2.6 GHz, as the pipeline looks at its session */

struct level {
  struct level *better, *worse;
  uint64_t qty;
  uint32_t px;
  uint32_t cnt;
};

struct order {
  struct order *next; /* of the bucket */
  struct level *level;
  uint64_t ref;
  uint32_t locate;
  uint32_t qty;
  int side; /* 0 buy, 1 sell */
};

struct top {
  uint32_t px, cnt;
  uint64_t qty;
};

struct book {
  struct level *best[2];
  uint8_t symbol[8];
  int64_t position;
};

struct samples { /* as in pipeline_driver.c */
  uint64_t due;
  uint64_t entered;
  uint32_t *from_due;
  uint32_t *from_entry;
  uint32_t cnt;
  uint32_t max;
};

struct reference {
  struct order *bucket[BUCKETS];
  struct book book[LOCATES];
  struct samples *samples;
  uint64_t every, usable, orders, messages, wrong;
  uint64_t next_seq, t_session;
  uint32_t ref;
  int fd;
  uint32_t tx_len;
  uint8_t tx[4096];
};

static uint64_t get(const uint8_t *at, int sz) {
  uint64_t value = 0;
  for (int i = 0; i < sz; i++) value = value << 8 | at[i];
  return value;
}

static void put(uint8_t *at, uint64_t value, int sz) {
  for (int i = sz - 1; i >= 0; i--, value >>= 8) at[i] = (uint8_t)value;
}

static struct order **bucket_of(struct reference *reference, uint64_t ref) {
  return &reference->bucket[(ref * 0x9E3779B97F4A7C15u) >> 44];
}

static struct order **order_find(struct reference *reference, uint64_t ref) {
  struct order **link = bucket_of(reference, ref);
  while (*link && (*link)->ref != ref) link = &(*link)->next;
  return link;
}

static bool is_better(int side, uint32_t px, uint32_t than) {
  return side == 0 ? px > than : px < than;
}

static void order_add(struct reference *reference, uint32_t locate, uint64_t ref, int side, uint32_t qty, uint32_t px) {
  struct level **best = &reference->book[locate].best[side];
  struct level *better = NULL, *at = *best;
  while (at && is_better(side, at->px, px)) {
    better = at;
    at = at->worse;
  }
  if (!at || at->px != px) {
    struct level *level = malloc(sizeof *level);
    *level = (struct level){.better = better, .worse = at, .px = px};
    if (at) at->better = level;
    if (better)
      better->worse = level;
    else
      *best = level;
    at = level;
  }
  at->qty += qty;
  at->cnt++;
  struct order *order = malloc(sizeof *order);
  struct order **bucket = bucket_of(reference, ref);
  *order = (struct order){.next = *bucket, .level = at, .ref = ref, .locate = locate, .qty = qty, .side = side};
  *bucket = order;
}

/* takes qty shares from the order behind link, or all of them */
static void order_take(struct reference *reference, struct order **link, uint32_t qty) {
  struct order *order = *link;
  struct level *level = order->level;
  order->qty -= qty;
  level->qty -= qty;
  if (order->qty) return;
  if (--level->cnt == 0) {
    if (level->better)
      level->better->worse = level->worse;
    else
      reference->book[order->locate].best[order->side] = level->worse;
    if (level->worse) level->worse->better = level->better;
    free(level);
  }
  *link = order->next;
  free(order);
}

static void tops(const struct book *book, struct top *top) {
  for (int side = 0; side < 2; side++) {
    const struct level *best = book->best[side];
    top[side] = best ? (struct top){.px = best->px, .cnt = best->cnt, .qty = best->qty} : (struct top){0};
  }
}

static void order_send(struct reference *reference, const struct book *book, int side, uint32_t qty, uint32_t px,
                       const struct top *top) {
  uint32_t middle = top[0].px + (top[1].px - top[0].px) / 2, band = middle / 10;
  int64_t after = book->position + (side == 0 ? (int64_t)qty : -(int64_t)qty);
  if (qty > 100000 || (uint64_t)px * qty > 1000000000000000u || px > middle + band || px < middle - band ||
      after > 1000000000 || after < -1000000000)
    return;
  uint8_t *at = reference->tx;
  memset(at, 0, 50);
  put(at, 48, 2);
  at[2] = 'U';
  at[3] = 'O';
  put(at + 4, ++reference->ref, 4);
  at[8] = side == 0 ? 'B' : 'T';
  put(at + 9, qty, 4);
  memcpy(at + 13, book->symbol, 8);
  put(at + 21, px, 8);
  memcpy(at + 29, "3YPNN", 5);
  memset(at + 34, ' ', 14);
  reference->tx_len = 50;
  struct samples *samples = reference->samples;
  if (samples && samples->cnt < samples->max) {
    uint64_t now = __builtin_ia32_rdtsc();
    samples->from_due[samples->cnt] = (uint32_t)(now - samples->due);
    samples->from_entry[samples->cnt++] = (uint32_t)(now - samples->entered);
  }
  reference->orders++;
  if (send(reference->fd, reference->tx, reference->tx_len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)reference->tx_len)
    reference->wrong++;
}

static void message_in(struct reference *reference, const uint8_t *message, uint32_t len) {
  uint32_t locate = (uint32_t)get(message + 1, 2);
  struct book *book = &reference->book[locate];
  struct top before[2], after[2];
  struct order **link = NULL;
  reference->messages++;
  tops(book, before);
  if (strchr("ECXDU", message[0]) && len >= 19) {
    link = order_find(reference, get(message + 11, 8));
    if (!*link) {
      reference->wrong++;
      return;
    }
  }
  switch (message[0]) {
    case 'R':
      memcpy(book->symbol, message + 11, 8);
      return;
    case 'A':
    case 'F':
      order_add(reference, locate, get(message + 11, 8), message[19] == 'B' ? 0 : 1, (uint32_t)get(message + 20, 4),
                (uint32_t)get(message + 32, 4));
      break;
    case 'E':
    case 'C':
    case 'X':
      order_take(reference, link, (uint32_t)get(message + 19, 4));
      break;
    case 'D':
      order_take(reference, link, (*link)->qty);
      break;
    case 'U': {
      int side = (*link)->side;
      order_take(reference, link, (*link)->qty);
      order_add(reference, locate, get(message + 19, 8), side, (uint32_t)get(message + 27, 4),
                (uint32_t)get(message + 31, 4));
      break;
    }
    default:
      return;
  }
  tops(book, after);
  bool changed = false;
  for (int side = 0; side < 2; side++)
    changed |=
        before[side].px != after[side].px || before[side].qty != after[side].qty || before[side].cnt != after[side].cnt;
  if (!changed || !after[0].px || !after[1].px || !reference->every) return;
  if (++reference->usable % reference->every) return;
  int side = (int)((locate - 1) & 1);
  order_send(reference, book, side, 100 + (uint32_t)(reference->usable / reference->every & 255), after[side].px,
             after);
}

EXPORT void reference_frames(struct reference *reference, const uint8_t *data, const uint32_t *lens, uint32_t cnt) {
  for (uint32_t i = 0; i < cnt; data += lens[i++]) {
    if (lens[i] < HEADERS_LEN + MOLD_LEN || get(data + 12, 2) != 0x0800 || data[14] != 0x45 || data[23] != 17) continue;
    const uint8_t *mold = data + HEADERS_LEN, *end = data + lens[i];
    uint64_t seq = get(mold + 10, 8), blocks = get(mold + 18, 2);
    if (seq != reference->next_seq) {
      reference->wrong++;
      continue;
    }
    reference->next_seq += blocks;
    const uint8_t *block = mold + MOLD_LEN;
    while (blocks-- && end - block >= 2) {
      uint32_t len = (uint32_t)get(block, 2);
      if (len < 11 || end - block - 2 < (ptrdiff_t)len) break;
      message_in(reference, block + 2, len);
      block += 2 + len;
    }
  }
}

/* looks at the venue's answers as often as the pipeline does */
EXPORT bool reference_step(struct reference *reference) {
  uint64_t now = __builtin_ia32_rdtsc();
  if (now - reference->t_session < SESSION_TICKS) return false;
  reference->t_session = now;
  uint8_t answers[65536];
  return recv(reference->fd, answers, sizeof answers, MSG_DONTWAIT) > 0;
}

EXPORT struct reference *reference_open(uint16_t port) {
  static const int on = 1;
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct reference *reference = calloc(1, sizeof *reference);
  if (!reference) return NULL;
  reference->next_seq = 1;
  reference->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (reference->fd < 0 || connect(reference->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
      setsockopt(reference->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
    if (reference->fd >= 0) close(reference->fd);
    free(reference);
    return NULL;
  }
  return reference;
}

EXPORT void reference_set(struct reference *reference, struct samples *samples, uint64_t every) {
  reference->samples = samples;
  reference->every = every;
  reference->usable = 0;
}

EXPORT uint64_t reference_messages(const struct reference *reference) {
  return reference->messages;
}

EXPORT uint64_t reference_orders(const struct reference *reference) {
  return reference->orders;
}

EXPORT uint64_t reference_wrong(const struct reference *reference) {
  return reference->wrong;
}

EXPORT void reference_close(struct reference *reference) {
  for (uint32_t i = 0; i < BUCKETS; i++) {
    while (reference->bucket[i]) order_take(reference, &reference->bucket[i], reference->bucket[i]->qty);
  }
  close(reference->fd);
  free(reference);
}
