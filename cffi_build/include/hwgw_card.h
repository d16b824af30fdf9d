/* hwgw_card.h: the simulated card as a shared library of its own: registers, frames in, records and frames out.
 *
 * SPDX-License-Identifier: MIT
 *
 * Verilator makes it of fpga/rtl and sim/card/card.cpp; rx_card.c and hwgw_sim.card load it at run time, so nothing here is
 * linked into anything. Time is the model's clock: it moves only inside these calls. A card belongs to one thread at a time. After open nothing
 * allocates and nothing but trace calls the system. What stands between the markers is also what cffi sees.
 */
#ifndef HWGW_CARD_H
#define HWGW_CARD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* card cdef begin */

#define HWGW_CARD_ABI 2
#define HWGW_CARD_RING 65536 /* event records that wait for the host; then the card's own FIFO fills */
#define HWGW_CARD_EVENT_SZ 64
#define HWGW_CARD_ENTRIES \
  64 /* of the order ring, and of the rings of verdicts and of sent orders in the host's memory */

struct hwgw_card;

uint32_t hwgw_card_abi(void);
/* a card after reset; NULL without memory */
struct hwgw_card *hwgw_card_open(void);
void hwgw_card_close(struct hwgw_card *card); /* NULL is allowed */
/* one AXI-Lite access; its response: 0, 2 = no such register or not to be written, 3 = no answer in 1,000 cycles */
uint32_t hwgw_card_read(struct hwgw_card *card, uint32_t offset, uint32_t *value);
uint32_t hwgw_card_write(struct hwgw_card *card, uint32_t offset, uint32_t value);
/* a frame without FCS into the MAC of line 0 (A) or 1 (B), in beats without a pause, and one idle beat as the gap between
 * frames; now: its time stamp. An empty frame cannot be on a wire and is ignored */
void hwgw_card_frame(struct hwgw_card *card, uint32_t line, const uint8_t *data, uint32_t len, uint64_t now);
/* cnt frames that lie one behind the other; each with the time stamp that now counts up from */
void hwgw_card_frames(struct hwgw_card *card, uint32_t line, const uint8_t *data, const uint32_t *lens, uint32_t cnt,
                      uint64_t now);
/* clock cycles without input */
void hwgw_card_run(struct hwgw_card *card, uint32_t cycles);
/* takes up to max records out of the ring; how many */
uint32_t hwgw_card_events(struct hwgw_card *card, void *events, uint32_t max);
/* of the records that wait, up to max: the cycle in which each came out of the card */
uint32_t hwgw_card_event_cycles(const struct hwgw_card *card, uint64_t *cycles, uint32_t max);
uint32_t hwgw_card_waiting(const struct hwgw_card *card);
/* takes up to max records out of the ring of verdicts, or of sent orders; how many. The card learns of it by its doorbell */
uint32_t hwgw_card_verdicts(struct hwgw_card *card, void *verdicts, uint32_t max);
uint32_t hwgw_card_sent(struct hwgw_card *card, void *sent, uint32_t max);
/* takes the oldest frame that left the card, without FCS; its length, 0 = none. room: at least 128 bytes */
uint32_t hwgw_card_tx(struct hwgw_card *card, uint8_t *room);
/* the clock of the gateway in ns, until it is set again; the pin that halts; and the card pulled out: from then on no register
 * answers and nothing comes */
void hwgw_card_time(struct hwgw_card *card, uint64_t now_ns);
void hwgw_card_halt(struct hwgw_card *card, uint32_t level);
void hwgw_card_unplug(struct hwgw_card *card);
uint64_t hwgw_card_cycles(const struct hwgw_card *card);

/* card cdef end */

#ifdef __cplusplus
}
#endif

#endif
