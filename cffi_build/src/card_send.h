/* card_send.h: what the card needs to put orders on the wire itself: their fields, the frames' header, a loan of numbers.
 *
 * SPDX-License-Identifier: MIT
 *
 * The loan is docs/decisions/0018, the ring of sent orders docs/decisions/0028-card-rings.md. The card sends an order that
 * passes while `sends` is set, under the loan; what became of it comes as one record. false, where a function says so: the
 * card was lost. Thread: that of the gate.
 */
#ifndef HWGW_CARD_SEND_H
#define HWGW_CARD_SEND_H

#include "card_gate.h"
#include "hwgw_loan.h"

#define CARD_TX_FRAME_MAX 128

/* firm, capacity and display of every order, and its symbols: cnt names of 8 bytes */
bool card_send_fields(struct card_gate *gate, const char *firm, char capacity, char display, const char *symbols,
                      uint32_t cnt);
/* the clock of the gateway, by which loans end; a simulated card has it from its host */
void card_send_time(struct card_gate *gate, uint64_t now_ns);
/* HWGW_LOAN_HEADER_SZ bytes; not while a loan is out */
bool card_send_header(struct card_gate *gate, const uint8_t *header);
/* numbers up to end (not lent any more) until expiry_ns; is_renewal: of the loan that is out. Whether one is out then */
bool card_send_lend(struct card_gate *gate, const struct hwgw_loan_numbers *numbers, uint32_t end, uint64_t expiry_ns,
                    bool is_renewal);
/* ends the loan; true when nothing is under way under it any more */
bool card_send_return(struct card_gate *gate);
/* whether orders that pass leave */
void card_send_switch(struct card_gate *gate, bool is_on);
/* a rule of an instrument, and which instrument a number of the feed is (or that it is none of those). Only while no shot is with the card */
void card_send_rule(struct card_gate *gate, uint32_t instrument, const struct hwgw_rule *rule);
void card_send_locate(struct card_gate *gate, uint16_t locate, uint32_t instrument, bool is_on);
/* lets rules make one order with this reference, which leaves when it passes; 0: takes that back, as it was. Whether an order was made
 * with the last reference: then its verdict comes, or has come, and it leaves as long as the switch is not turned */
bool card_send_shot(struct card_gate *gate, uint32_t ref);
/* the next record of sent orders; is_patient: waits for it. false: there is none, or the card was lost */
bool card_send_take(struct card_gate *gate, struct hwgw_sent *sent, bool is_patient);
/* a frame that the simulated card has put on its wire, after at most so many cycles; its length, 0 = none. frame:
 * CARD_TX_FRAME_MAX bytes */
uint32_t card_send_frame(struct card_gate *gate, uint8_t *frame, uint32_t cycles);

#endif
