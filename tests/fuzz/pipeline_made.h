/* pipeline_made.h: a segment and a pipeline for a fuzz target, of which nothing is left behind whatever happens.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HWGW_TESTS_FUZZ_PIPELINE_MADE_H
#define HWGW_TESTS_FUZZ_PIPELINE_MADE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pipeline.h"
#include "session.h"

/* name: what its file is called beside the process; the rest of cfg says symbols and what else is wanted. The mapping is
 * enough: the file is gone */
static inline struct hwgw_segment *segment_made(const char *name, struct hwgw_segment_cfg cfg) {
  char full[32], path[64];
  struct hwgw_segment *made;
  struct hwgw_error error;
  (void)snprintf(full, sizeof full, "fuzz-%s-%d", name, (int)getpid());
  cfg.name = full;
  cfg.version = cfg.commit = "0";
  cfg.thread_cnt = 1;
  if (hwgw_segment_create(&made, &cfg, &error) != HWGW_OK) {
    fprintf(stderr, "%s: %s\n", full, error.text);
    abort();
  }
  (void)snprintf(path, sizeof path, "/dev/shm/hwgw-%s", full);
  (void)unlink(path);
  return made;
}

/* in no place of its own */
static inline struct hwgw_pipeline *pipeline_made(struct hwgw_pipeline_cfg *cfg) {
  struct hwgw_pipeline *made;
  struct hwgw_error error;
  cfg->cpu = -1;
  if (hwgw_pipeline_open(&made, cfg, &error) != HWGW_OK) {
    fprintf(stderr, "a pipeline: %s\n", error.text);
    abort();
  }
  return made;
}

/* of a venue that nobody connects to */
static inline struct hwgw_session_cfg session_made(void) {
  struct hwgw_session_cfg cfg = {.address = 0x7F000001,
                                 .port = 1,
                                 .capacity = 'P',
                                 .display = 'Y',
                                 .requested_seq = 1,
                                 .login_timeout_ms = 1000,
                                 .dead_link_ms = 15000};
  memset(cfg.username, ' ', sizeof cfg.username);
  memset(cfg.password, ' ', sizeof cfg.password);
  memset(cfg.requested_session, ' ', sizeof cfg.requested_session);
  memset(cfg.firm, ' ', sizeof cfg.firm);
  return cfg;
}

#endif
