/* hwgw_loan.h: a piece of a TCP connection's sequence numbers in other hands, and the kernel told what was sent under them.
 *
 * SPDX-License-Identifier: MIT
 *
 * The connection stays the kernel's; docs/decisions/0018 says why so, what was measured and what must be kept. Numbers are
 * read, and bytes that another has sent are put on the socket's queue of sent data, through TCP_REPAIR (tcp(7); it needs
 * CAP_NET_ADMIN): the kernel then waits for their acknowledgement, and sends them again when they were lost. While a loan
 * is out nothing else may be written to the socket. Thread: the socket's. Nothing here waits.
 */
#ifndef HWGW_LOAN_H
#define HWGW_LOAN_H

#include <stdint.h>

/* hwgw cdef begin */

#define HWGW_LOAN_BYTES_MAX 14600 /* who borrows knows of no congestion: what a new connection may send (RFC 6928) */
#define HWGW_LOAN_HEADER_SZ 54    /* Ethernet, IPv4 and TCP without options */

/* what a loan is made of */
struct hwgw_loan_numbers {
  uint32_t seq;    /* of the next byte to be sent */
  uint32_t ack;    /* of the next byte expected */
  uint32_t window; /* as it stands in a header, scaled */
  uint32_t room;   /* bytes that the peer has left for us, at most HWGW_LOAN_BYTES_MAX */
};

/* Where the connection stands. HWGW_ERR_DEVICE: it is not established, or bytes wait in the socket; HWGW_ERR_CONFIG: it has
 * TCP timestamps, which the card does not send; HWGW_ERR_PRIVILEGE: without CAP_NET_ADMIN */
int32_t hwgw_loan_numbers(int32_t fd, struct hwgw_loan_numbers *numbers, struct hwgw_error *error);
/* len bytes (from 1) have left in another way, with the socket's next numbers: in their order, each once, and the sooner the
 * better, because until then the kernel drops what acknowledges them. After an error the connection is lost to us */
int32_t hwgw_loan_tell(int32_t fd, const void *packet, uint32_t len, struct hwgw_error *error);
/* the header of this connection's frames, as the routes of the calling thread's network namespace have it now: what changes from frame to frame (lengths,
 * numbers, window, checksums) is 0. ifindex: where they leave. HWGW_ERR_DEVICE: no route, not by Ethernet, or the next hop's
 * address is not known (the kernel learns it when it sends something itself) */
int32_t hwgw_loan_header(int32_t fd, uint8_t *header, int32_t *ifindex, struct hwgw_error *error);

/* hwgw cdef end */

#endif
