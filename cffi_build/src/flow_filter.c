/* flow_filter.c: the classic BPF program that knows the frames of flows: what enters the packet backend's ring, and what
 * the witness of the steering program counts.
 *
 * SPDX-License-Identifier: MIT
 *
 * Input: a frame as the kernel shows it to a packet socket: the outer VLAN tag is already taken off, a second one still
 * stands in it.
 *
 * Accepted: IPv4 UDP, with options or without, to the group and port of a flow; of fragments, which carry no port but for
 * the first, all to the group of a flow, so that net.c sees and counts them. Checksums and lengths are the business of
 * net.c. What ends before its port does is nobody's.
 *
 * Cost: the kernel compiles it to machine code; two loads and two compares per flow until one fits.
 */
#include <errno.h>
#include <linux/filter.h>

#include "flow_filter.h"

#include <sys/socket.h>

enum {
  ACCEPT = 0x7FFFFFFF, /* bytes of the frame that go into the ring: all */
  FRAGMENT_OFFSET = 0x1FFF,
  GROUP = 0, /* scratch words of the program */
  PORT = 1,
  IP = ETHERNET_ETHERNET_HEADER_LEN,
  CODE_MAX = 48 + HWGW_FLOW_FILTER_MAX * 7,
  OWN = 5 /* PACKET_LOOPBACK: sent by this host, to a group it is a member of */
};

struct code {
  uint32_t cnt;
  struct sock_filter at[CODE_MAX];
};

static void put(struct code *code, struct sock_filter instruction) {
  code->at[code->cnt++] = instruction;
}

#define STMT(op, k) put(code, (struct sock_filter)BPF_STMT((uint16_t)(op), (uint32_t)(k)))
#define JUMP(op, k, yes, no) put(code, (struct sock_filter)BPF_JUMP((uint16_t)(op), (uint32_t)(k), (yes), (no)))

/* reads the headers: X becomes the bytes that a tag adds, GROUP the destination; refuses all but IPv4 UDP */
static void headers_put(struct code *code) {
  STMT(BPF_LDX | BPF_IMM, 0);
  STMT(BPF_LD | BPF_H | BPF_ABS, ETHERNET_ETHERNET_HEADER_ETHERTYPE_OFF);
  JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERNET_ETHERTYPE_IPV4, 6, 0);
  JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERNET_ETHERTYPE_VLAN, 2, 0);
  JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERNET_ETHERTYPE_QINQ, 1, 0);
  STMT(BPF_RET | BPF_K, 0);
  STMT(BPF_LDX | BPF_IMM, ETHERNET_VLAN_TAG_LEN);
  STMT(BPF_LD | BPF_H | BPF_IND, ETHERNET_ETHERNET_HEADER_ETHERTYPE_OFF);
  JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERNET_ETHERTYPE_IPV4, 0, 2);
  STMT(BPF_LD | BPF_B | BPF_IND, IP + ETHERNET_IPV4_HEADER_PROTOCOL_OFF);
  JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERNET_IP_PROTOCOL_UDP, 1, 0);
  STMT(BPF_RET | BPF_K, 0);
  STMT(BPF_LD | BPF_W | BPF_IND, IP + ETHERNET_IPV4_HEADER_DESTINATION_OFF);
  STMT(BPF_ST, GROUP);
}

/* what the steering program wants to see besides */
static void steered_put(struct code *code) {
  STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE);
  JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN, 2, 0);
  STMT(BPF_LD | BPF_B | BPF_IND, IP + ETHERNET_IPV4_HEADER_VERSION_IHL_OFF);
  JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x45, 1, 0);
  STMT(BPF_RET | BPF_K, 0);
  JUMP(BPF_JMP | BPF_JGT | BPF_K, 0x4F, 0, 1);
  STMT(BPF_RET | BPF_K, 0);
}

static void flows_put(struct code *code, const struct hwgw_flow *flows, uint32_t flow_cnt, bool as_steered) {
  STMT(BPF_LD | BPF_B | BPF_IND, IP + ETHERNET_IPV4_HEADER_VERSION_IHL_OFF);
  STMT(BPF_ALU | BPF_AND | BPF_K, 15);
  STMT(BPF_ALU | BPF_LSH | BPF_K, 2);
  STMT(BPF_ALU | BPF_ADD | BPF_X, 0);
  STMT(BPF_MISC | BPF_TAX, 0);
  if (as_steered) STMT(BPF_LD | BPF_B | BPF_IND, IP + ETHERNET_UDP_HEADER_LEN - 1); /* the header is all there */
  STMT(BPF_LD | BPF_H | BPF_IND, IP + ETHERNET_UDP_HEADER_DESTINATION_PORT_OFF);
  STMT(BPF_ST, PORT);
  for (uint32_t i = 0; i < flow_cnt; i++) {
    STMT(BPF_LD | BPF_MEM, GROUP);
    JUMP(BPF_JMP | BPF_JEQ | BPF_K, flows[i].group, 0, 3);
    STMT(BPF_LD | BPF_MEM, PORT);
    JUMP(BPF_JMP | BPF_JEQ | BPF_K, flows[i].port, 0, 1);
    STMT(BPF_RET | BPF_K, ACCEPT);
  }
  STMT(BPF_RET | BPF_K, 0);
}

static void fragments_put(struct code *code, const struct hwgw_flow *flows, uint32_t flow_cnt) {
  STMT(BPF_LD | BPF_MEM, GROUP);
  for (uint32_t i = 0; i < flow_cnt; i++) {
    JUMP(BPF_JMP | BPF_JEQ | BPF_K, flows[i].group, 0, 1);
    STMT(BPF_RET | BPF_K, ACCEPT);
  }
  STMT(BPF_RET | BPF_K, 0);
}

int hwgw_flow_filter(int fd, const struct hwgw_flow *flows, uint32_t flow_cnt, bool as_steered) {
  if (flow_cnt > HWGW_FLOW_FILTER_MAX) return E2BIG;
  struct code built = {0}, *code = &built;
  headers_put(code);
  if (as_steered) steered_put(code);
  STMT(BPF_LD | BPF_H | BPF_IND, IP + ETHERNET_IPV4_HEADER_FLAGS_FRAGMENT_OFF);
  JUMP(BPF_JMP | BPF_JSET | BPF_K, FRAGMENT_OFFSET, 1, 0);
  uint32_t jump = code->cnt;
  STMT(BPF_JMP | BPF_JA, 0);
  fragments_put(code, flows, as_steered ? 0 : flow_cnt);
  code->at[jump].k = code->cnt - jump - 1;
  flows_put(code, flows, flow_cnt, as_steered);
  struct sock_fprog program = {.len = (uint16_t)code->cnt, .filter = code->at};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) ? errno : 0;
}
