/* placement.h: where the data process runs and lies: cores, priority, memory, power states; each checked after it was set.
 *
 * SPDX-License-Identifier: MIT
 *
 * Nothing here fails a start: what is not permitted is left as it was, and the segment says what and why.
 */
#ifndef HWGW_PLACEMENT_H
#define HWGW_PLACEMENT_H

#include "pipeline.h"

/* memory that this thread touches first from now on lies on the node of the pipeline's core; cpu -1: anywhere */
void hwgw_placement_near(int32_t cpu);
/* the calling thread takes the core and the priority of its pipeline */
void hwgw_placement_thread(struct hwgw_pipeline *p);
/* after every pipeline is open and before privileges go; cfg NULL = nothing is asked for */
void hwgw_placement_process(struct hwgw_segment *segment, const struct hwgw_placement_cfg *cfg);

#endif
