/* The simulated card in a process of its own, as a card of silicon is none of its host's: it outlives the host, its clock runs on.
 *
 * SPDX-License-Identifier: MIT
 *
 * Compiled twice. A library is the host's end: the calls of hwgw_card.h, each a message to the card's process and its answer;
 * writes are posted, in their order, before the next call of another kind. With FAR a program is the card's end: arguments are the
 * place it listens at and the interface it is at; it is linked with the true library. A host that comes next finds the card as
 * the last one left it, but not what had been written into the last one's memory.
 * From the death of a host on, until the next one resets the gate, the frames of the card are carried to the wire here.
 * A test asks it, too: ARM says at which point a host is killed (SIGKILL), and what frame of the feed the card gets just before,
 * or before the next host says anything to the gate;
 * FEED gives it one now; HOLD has the clock that loans end by stand still from the next kill on, until
 * a host says the time or HOLD says that it goes on; SEEN says how the card was at the last kill.
 * CONTROL_AT, SENDS, STATE_AT, HEAD_AT, SHOT_AT, COMMAND_AT, RETURN and RESET are registers and their bits: of the orders that leave, the
 * state (LENT, LOADED_BIT: loan and rules' number are with the card), the order ring's doorbell, the number of the rules' order, the
 * commands to give a loan back and to begin anew.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "hwgw_card.h"

enum call { OPEN, READ, WRITES, FRAME, RUN, EVENTS, WAITING, VERDICTS, SENT, TX, TIME, ARM, SEEN, FEED, HOLD };
enum { DATA_MAX = 16384, FRAME_MAX = 128 };

/* both ways; of an answer a is the result, b a value */
struct message {
  uint32_t call, a, b, len;
  uint64_t ns;
  uint8_t data[DATA_MAX];
};

#define HEAD offsetof(struct message, data)

static bool put(int fd, const struct message *message) {
  size_t sz = HEAD + message->len;
  ssize_t done;
  do done = send(fd, message, sz, MSG_NOSIGNAL);
  while (done < 0 && errno == EINTR);
  return done == (ssize_t)sz;
}

static bool get(int fd, struct message *message) {
  ssize_t done;
  do done = recv(fd, message, sizeof *message, 0);
  while (done < 0 && errno == EINTR);
  return done >= (ssize_t)HEAD && (size_t)done == HEAD + message->len;
}

static int meet(int fd, const struct sockaddr *address, socklen_t sz) {
#ifdef FAR
  return bind(fd, address, sz) || listen(fd, 8);
#else
  return connect(fd, address, sz);
#endif
}

static int at_place(const char *place) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0 || strlen(place) >= sizeof address.sun_path) return -1;
  strcpy(address.sun_path, place);
  return meet(fd, (const struct sockaddr *)&address, sizeof address) ? -1 : fd;
}

#ifndef FAR

struct hwgw_card {
  int fd;
  uint32_t posted; /* writes that wait */
  uint32_t write[DATA_MAX / 8][2];
};

static struct message said; /* a card belongs to one thread */

static bool tell(int fd, uint32_t call, uint32_t a, uint32_t b, uint64_t ns, const void *data, uint32_t len) {
  said.call = call;
  said.a = a;
  said.b = b;
  said.ns = ns;
  said.len = len;
  if (len) memcpy(said.data, data, len);
  return put(fd, &said) && get(fd, &said);
}

static bool flush(struct hwgw_card *card) {
  uint32_t len = card->posted * (uint32_t)sizeof *card->write;
  card->posted = 0;
  return len == 0 || tell(card->fd, WRITES, 0, 0, 0, card->write, len);
}

static bool ask(struct hwgw_card *card, uint32_t call, uint32_t a, uint64_t ns, const void *data, uint32_t len) {
  return flush(card) && tell(card->fd, call, a, 0, ns, data, len);
}

static uint32_t records(struct hwgw_card *card, uint32_t call, void *to, uint32_t max) {
  if (max > DATA_MAX / HWGW_CARD_EVENT_SZ) max = DATA_MAX / HWGW_CARD_EVENT_SZ;
  if (!ask(card, call, max, 0, NULL, 0)) return 0;
  memcpy(to, said.data, said.len);
  return said.a;
}

uint32_t hwgw_card_abi(void) {
  return HWGW_CARD_ABI;
}

struct hwgw_card *hwgw_card_open(void) {
  struct hwgw_card *card = calloc(1, sizeof *card);
  if (!card) return NULL;
  card->fd = at_place(PLACE);
  if (card->fd >= 0 && ask(card, OPEN, 0, 0, NULL, 0)) return card;
  hwgw_card_close(card);
  return NULL;
}

void hwgw_card_close(struct hwgw_card *card) {
  if (!card) return;
  (void)flush(card);
  if (card->fd >= 0) close(card->fd);
  free(card);
}

uint32_t hwgw_card_read(struct hwgw_card *card, uint32_t offset, uint32_t *value) {
  bool is_there = ask(card, READ, offset, 0, NULL, 0);
  *value = is_there ? said.b : UINT32_MAX;
  return is_there ? said.a : 3;
}

uint32_t hwgw_card_write(struct hwgw_card *card, uint32_t offset, uint32_t value) {
  card->write[card->posted][0] = offset;
  card->write[card->posted][1] = value;
  return ++card->posted == DATA_MAX / sizeof *card->write && !flush(card) ? 3 : 0;
}

void hwgw_card_frame(struct hwgw_card *card, uint32_t line, const uint8_t *data, uint32_t len, uint64_t now) {
  if (len <= DATA_MAX) (void)ask(card, FRAME, line, now, data, len);
}

void hwgw_card_run(struct hwgw_card *card, uint32_t cycles) {
  (void)ask(card, RUN, cycles, 0, NULL, 0);
}

uint32_t hwgw_card_events(struct hwgw_card *card, void *events, uint32_t max) {
  return records(card, EVENTS, events, max);
}

uint32_t hwgw_card_waiting(const struct hwgw_card *card) {
  return tell(card->fd, WAITING, 0, 0, 0, NULL, 0) ? said.a : 0;
}

uint32_t hwgw_card_verdicts(struct hwgw_card *card, void *verdicts, uint32_t max) {
  return records(card, VERDICTS, verdicts, max);
}

uint32_t hwgw_card_sent(struct hwgw_card *card, void *sent, uint32_t max) {
  return records(card, SENT, sent, max);
}

uint32_t hwgw_card_tx(struct hwgw_card *card, uint8_t *room) {
  if (!ask(card, TX, 0, 0, NULL, 0)) return 0;
  memcpy(room, said.data, said.len);
  return said.len;
}

void hwgw_card_time(struct hwgw_card *card, uint64_t now_ns) {
  (void)ask(card, TIME, 0, now_ns, NULL, 0);
}

#else

enum { ENDS = 8, IDLE_CYCLES = 64, STEP_CYCLES = 8, LEAVES_CYCLES = 20000, HEARS_CYCLES = 256 };

/* where a host is killed */
enum point {
  NEVER,
  OFFERED,   /* the order may leave; the card does not have it yet */
  LEFT,      /* it has left by the card; the host has heard nothing */
  TOLD,      /* the host has heard so, and goes on */
  HEARD,     /* a rule has made an order of the feed, which has left; the host has heard nothing */
  UNLOADING, /* the host takes the number of the rules' order back; the card has not heard so */
  UNLOADED,  /* the card has */
  RETURNING, /* the host takes the loan back; the card has not heard so */
  RETURNED,  /* the card has */
  LOADED,    /* the rules' number and the loan are with the card, and the host says the time */
};

struct host {
  int fd;
  pid_t pid;
  bool has_frame; /* it has taken one since the point was chosen */
};

static struct hwgw_card *card;
static int wire, interface;
static enum point point;
static uint32_t control, killed_state, kills, frames; /* frames: of orders, that have left */
static int64_t ahead_ns;                              /* of this clock is the gateway's */
static bool is_orphan;                                /* its host is dead, and nobody has reset the gate since */
static bool is_held;                                  /* its clock */
static bool is_to_hold;                               /* it will be when the host is killed */
static uint8_t fed[DATA_MAX];
static uint32_t fed_len;

static int64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* rings and frames that stood in the memory of a host that is gone */
static void forget(void) {
  uint8_t room[HWGW_CARD_EVENT_SZ > FRAME_MAX ? HWGW_CARD_EVENT_SZ : FRAME_MAX];
  while (hwgw_card_verdicts(card, room, 1) || hwgw_card_sent(card, room, 1) || hwgw_card_events(card, room, 1) ||
         hwgw_card_tx(card, room)) {
  }
}

/* a frame that leaves within so many cycles is on the wire whatever the host does; whether one has */
static bool carry(uint32_t cycles) {
  uint8_t frame[FRAME_MAX] = {0};
  uint32_t len = hwgw_card_tx(card, frame);
  for (; !len && cycles; cycles -= STEP_CYCLES) {
    hwgw_card_run(card, STEP_CYCLES);
    len = hwgw_card_tx(card, frame);
  }
  if (!len) return false;
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = interface, .sll_halen = 6};
  memcpy(to.sll_addr, frame, to.sll_halen);
  frames++;
  if (sendto(wire, frame, len, 0, (struct sockaddr *)&to, sizeof to) != (ssize_t)len) perror("the wire");
  return true;
}

/* the feed goes on whatever the host does */
static void feed(const uint8_t *data, uint32_t len) {
  if (len) hwgw_card_frame(card, 0, data, len, (uint64_t)(clock_ns() + ahead_ns));
  while (len && carry(HEARS_CYCLES)) {
  }
}

/* what a test has said is to come just now */
static void feed_next(void) {
  feed(fed, fed_len);
  fed_len = 0;
}

static bool end(struct host *host) {
  point = NEVER;
  kills++;
  is_orphan = true;
  is_held = is_to_hold;
  (void)hwgw_card_read(card, STATE_AT, &killed_state);
  kill(host->pid, SIGKILL);
  return false;
}

/* of a write that the card is given now: the point before it, and that behind it */
static enum point before(uint32_t at, uint32_t value) {
  if (at == CONTROL_AT && value & SENDS) return OFFERED;
  if (at == SHOT_AT && value == 0) return UNLOADING;
  return at == COMMAND_AT && value & RETURN ? RETURNING : NEVER;
}

static enum point behind(uint32_t at, uint32_t value) {
  if (at == HEAD_AT && control & SENDS) return LEFT;
  if (at == SHOT_AT && value == 0) return UNLOADED;
  return at == COMMAND_AT && value & RETURN ? RETURNED : NEVER;
}

static bool write_all(struct host *host, const struct message *from) {
  for (uint32_t i = 0; i < from->len; i += 8) {
    uint32_t write[2];
    memcpy(write, from->data + i, sizeof write);
    uint32_t at = write[0], value = write[1];
    if (at == CONTROL_AT && is_orphan) feed_next();
    if (at == CONTROL_AT) control = value;
    if (at == COMMAND_AT && value & RESET) is_orphan = false;
    bool is_at = point != NEVER && (point == before(at, value) || point == behind(at, value));
    if (is_at) feed_next();
    if (is_at && point == before(at, value)) return end(host);
    (void)hwgw_card_write(card, at, value);
    if (is_at && point == LEFT) (void)carry(LEAVES_CYCLES);
    if (is_at) return end(host);
  }
  return true;
}

static bool is_loaded(void) {
  uint32_t state;
  hwgw_card_run(card, STEP_CYCLES);
  (void)hwgw_card_read(card, STATE_AT, &state);
  return (state & (LENT | LOADED_BIT)) == (LENT | LOADED_BIT);
}

/* false: who asked does not live any more */
static bool serve(struct host *host, struct message *message) {
  uint32_t a = message->a, len = message->len;
  if (host->has_frame && point == TOLD) return end(host);
  message->len = 0;
  switch ((enum call)message->call) {
    case OPEN:
      forget();
      break;
    case READ:
      message->a = hwgw_card_read(card, a, &message->b);
      break;
    case WRITES:
      message->len = len;
      if (!write_all(host, message)) return false;
      message->len = 0;
      break;
    case FRAME:
      hwgw_card_frame(card, a, message->data, len, message->ns);
      if (point == HEARD && carry(HEARS_CYCLES)) return end(host);
      break;
    case FEED:
      feed(message->data, len);
      break;
    case HOLD:
      is_to_hold = a != 0;
      is_held &= is_to_hold;
      break;
    case RUN:
      hwgw_card_run(card, a);
      break;
    case EVENTS:
      message->a = hwgw_card_events(card, message->data, a);
      break;
    case WAITING:
      message->a = hwgw_card_waiting(card);
      break;
    case VERDICTS:
      message->a = hwgw_card_verdicts(card, message->data, a);
      break;
    case SENT:
      message->a = hwgw_card_sent(card, message->data, a);
      break;
    case TX:
      message->len = hwgw_card_tx(card, message->data);
      frames += message->len != 0;
      host->has_frame = message->len != 0 && point == TOLD;
      break;
    case TIME:
      is_held = false;
      ahead_ns = (int64_t)message->ns - clock_ns();
      hwgw_card_time(card, message->ns);
      if (point == LOADED && is_loaded()) return end(host);
      break;
    case ARM:
      point = (enum point)a;
      fed_len = len;
      memcpy(fed, message->data, len);
      break;
    case SEEN:
      message->a = kills;
      message->b = killed_state;
      message->ns = frames;
      break;
  }
  if (message->call == EVENTS || message->call == VERDICTS || message->call == SENT)
    message->len = message->a * HWGW_CARD_EVENT_SZ;
  return put(host->fd, message);
}

static bool turn(struct host *host) {
  static struct message message;
  return get(host->fd, &message) && serve(host, &message);
}

static struct host met(int listener) {
  struct host host = {.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)};
  struct ucred who = {0};
  socklen_t sz = sizeof who;
  if (host.fd >= 0) getsockopt(host.fd, SOL_SOCKET, SO_PEERCRED, &who, &sz);
  host.pid = who.pid;
  return host;
}

int main(int argc, char **argv) {
  struct host host[ENDS];
  struct pollfd ends[ENDS + 1];
  uint32_t cnt = 0;
  if (argc != 3) return 2;
  interface = atoi(argv[2]);
  wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  card = hwgw_card_open();
  ends[0] = (struct pollfd){.fd = at_place(argv[1]), .events = POLLIN};
  if (ends[0].fd < 0 || wire < 0 || !card) return 1;
  puts("ready");
  fflush(stdout);
  for (;;) {
    for (uint32_t i = 0; i < cnt; i++) ends[i + 1] = (struct pollfd){.fd = host[i].fd, .events = POLLIN};
    int found = poll(ends, cnt + 1, 1);
    if (!is_held) hwgw_card_time(card, (uint64_t)(clock_ns() + ahead_ns));
    if (found <= 0) {
      if (!is_orphan || !carry(IDLE_CYCLES)) hwgw_card_run(card, IDLE_CYCLES);
      continue;
    }
    for (uint32_t i = cnt; i-- > 0;) {
      if (!ends[i + 1].revents || turn(&host[i])) continue;
      close(host[i].fd);
      host[i] = host[--cnt];
    }
    if (ends[0].revents && cnt < ENDS && (host[cnt] = met(ends[0].fd)).fd >= 0) cnt++;
  }
}

#endif
