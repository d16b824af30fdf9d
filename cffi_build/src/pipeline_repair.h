/* pipeline_repair.h: a snapshot for single instruments of a channel (pipeline_repair.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_PIPELINE_REPAIR_H
#define HWGW_PIPELINE_REPAIR_H

#include "pipeline.h"

int32_t pipeline_repair_open(struct hwgw_pipeline *p, uint32_t channel, uint32_t hold_max, struct hwgw_error *error);
void pipeline_repair_want(struct hwgw_pipeline *p, uint32_t channel);
void pipeline_repair_reset(struct hwgw_pipeline *p, uint32_t channel); /* every book of the channel begins anew */
bool pipeline_repair_is_due(const struct hwgw_pipeline *p, uint32_t channel, uint64_t now);
void pipeline_repair_poll(struct hwgw_pipeline *p, uint32_t channel, uint64_t now); /* when it is due */
void pipeline_repair_failed(struct hwgw_pipeline *p, uint32_t channel, uint64_t now);
bool pipeline_repair_takes(struct hwgw_pipeline *p, const struct hwgw_event *event); /* kept: not to be applied now */
/* end_seq: 0, or the number the snapshot ends with */
void pipeline_repair_snapshot(struct hwgw_pipeline *p, uint32_t channel, const uint8_t *message, uint32_t len,
                              uint64_t end_seq, uint64_t now);

#endif
