/* recover.h: when a hole of a channel is asked for, and when its books are loaded anew.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_RECOVER_H
#define HWGW_RECOVER_H

#include "base.h"

#define HWGW_REQUEST_MAX 128 /* messages: as many of the shortest as one answer of an Ethernet frame holds, and some */

enum hwgw_recover_phase {
  HWGW_RECOVER_IDLE,       /* nothing is missing, or nothing can be done about it */
  HWGW_RECOVER_HOLDING,    /* a hole, younger than the reorder window */
  HWGW_RECOVER_REQUESTING, /* a re-request server is asked */
  HWGW_RECOVER_PAUSE,      /* until the next attempt to load a snapshot */
  HWGW_RECOVER_LOADING     /* a snapshot is being loaded */
};

/* what the caller has to do now */
enum hwgw_recover_action {
  HWGW_RECOVER_NOTHING,
  HWGW_RECOVER_REQUEST, /* send request to server */
  HWGW_RECOVER_LOAD,    /* begin to load a snapshot */
  HWGW_RECOVER_UNLOAD,  /* end that: the lines filled the hole, or it took too long */
  HWGW_RECOVER_SKIP     /* give the hole up: hwgw_mold_skip */
};

struct hwgw_recover {
  uint64_t window; /* durations in ticks */
  uint64_t timeout;
  uint64_t gap; /* between two requests */
  uint64_t load_timeout;
  uint64_t load_retry;
  uint64_t messages_max;
  uint32_t server_cnt;
  uint32_t retries;
  bool has_snapshot;
  bool is_due;   /* a request is to go as soon as the rate allows */
  uint8_t phase; /* enum hwgw_recover_phase */
  uint32_t server;
  uint32_t tries;
  uint64_t t_next;    /* when the phase is over */
  uint64_t t_request; /* last request */
  uint64_t t_load;    /* end of the last load; 0 = there was none */
  uint64_t hole_seq;  /* where the hole began when last looked at */
  uint64_t repairs;
  uint64_t requests;
  uint64_t loaded;
  uint64_t failures;
  uint8_t request[MOLDUDP64_REQUEST_PACKET_LEN];
};

/* hz: of the clock that the other calls are given */
void hwgw_recover_init(struct hwgw_recover *recover, const struct hwgw_recover_cfg *cfg, uint64_t hz);
/* one look at the channel: changes its phase and says what is to be done. Call it again at once until it is nothing */
uint32_t hwgw_recover_step(struct hwgw_recover *recover, struct hwgw_mold *mold, uint64_t now, uint64_t *counters);
void hwgw_recover_heard(struct hwgw_recover *recover, uint64_t now); /* the snapshot goes on */
/* the snapshot is complete (the channel was rebased), or failed */
void hwgw_recover_loaded(struct hwgw_recover *recover, uint64_t now, uint64_t *counters);
void hwgw_recover_failed(struct hwgw_recover *recover, uint64_t now, uint64_t *counters);
void hwgw_recover_reset(struct hwgw_recover *recover); /* another session has begun */

/* ---- recover_net.c: the sockets ---- */

struct hwgw_recover_net;

/* who gets what the sockets bring */
struct hwgw_recover_sink {
  void *context;
  void (*reply)(void *context, uint32_t channel, const uint8_t *data, uint32_t len);
  void (*snapshot)(void *context, uint32_t channel, const uint8_t *message, uint32_t len);
  void (*failed)(void *context, uint32_t channel);
};

int32_t hwgw_recover_net_open(struct hwgw_recover_net **net, uint32_t channel, const struct hwgw_recover_cfg *cfg,
                              struct hwgw_error *error);
void hwgw_recover_net_close(struct hwgw_recover_net *net); /* NULL is allowed */
/* hands one request to the kernel; false when it did not take it */
bool hwgw_recover_net_request(struct hwgw_recover_net *net, uint32_t server, const uint8_t *request);
void hwgw_recover_net_load(struct hwgw_recover_net *net);   /* connects; the rest comes by poll */
void hwgw_recover_net_unload(struct hwgw_recover_net *net); /* disconnects */
/* reads what waits, a bounded amount of it; never blocks */
void hwgw_recover_net_poll(struct hwgw_recover_net *net, uint64_t now_ns, const struct hwgw_recover_sink *sink);

#endif
