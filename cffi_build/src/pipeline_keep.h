/* pipeline_keep.h: what strategies decide by, into the journal (pipeline_keep.c).
 *
 * SPDX-License-Identifier: MIT
 *
 * Each but check is for where keeps_frames is set; a replay puts requests and loads with them, too.
 */
#ifndef HWGW_PIPELINE_KEEP_H
#define HWGW_PIPELINE_KEEP_H

#include "pipeline.h"

int32_t pipeline_keep_check(const struct hwgw_pipeline_cfg *cfg, struct hwgw_error *error);
/* a datagram into the journal, then to its channel; now: the time of all that it brings about. As hwgw_mold_packet */
uint32_t pipeline_keep_packet(struct hwgw_pipeline *p, const struct hwgw_frame *frame,
                              const struct hwgw_datagram *datagram, struct hwgw_mold_iter *iter, uint64_t *now);
void pipeline_keep_input(struct hwgw_pipeline *p, uint32_t what, uint32_t value, uint32_t ref);
/* recovery looks after holes: before the first thing that a round does */
void pipeline_keep_round(struct hwgw_pipeline *p);
/* what a server of a channel says before anything is made of it, or is told; line: enum hwgw_journal_frame_line */
void pipeline_keep_server(struct hwgw_pipeline *p, uint32_t channel, uint32_t line, const uint8_t *data, uint32_t len);
bool pipeline_keep_has_room(
    const struct hwgw_pipeline *p); /* for what servers say: they wait until the writer has come so far */
void pipeline_keep_params(struct hwgw_pipeline *p, const struct pipeline_strategy *strategy, uint64_t now_ns);

#endif
