/* halt.c: hwgw-halt, the program for a shell script or a button: halts gateways without starting Python.
 *
 * SPDX-License-Identifier: MIT
 *
 *   hwgw-halt NAME... | --all [--reason TEXT]
 *
 * One store into each gateway's segment, as `hwgw halt` makes it, then a wait until the data processes have acknowledged
 * it, so that no order leaves after it has returned; one that does not within a second is named. The record in the segment says who, when and why, and a
 * resume puts it into the gateway's record of acts. One gateway that cannot be halted does not keep the others from it. Exit
 * code: 0 all are halted, else that of the first that could not be (2 usage or no such gateway, 4 privilege, 1 no segment).
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hwgw.h"

#define SHM "/dev/shm"
#define PREFIX "hwgw-"
#define NAMES_MAX 64
#define ACKNOWLEDGED_NS 1000000000u

static int halt(const char *name, const char *text) {
  struct hwgw_segment *segment = NULL;
  struct hwgw_error error = {0};
  int32_t status = hwgw_segment_attach(&segment, name, true, &error);
  if (status) {
    fprintf(stderr, "hwgw-halt: %s\n", error.text);
    return status;
  }
  bool is_new = hwgw_halt(segment, HWGW_RISK_REASON_OPERATOR, text);
  printf("%s: %s\n", name, is_new ? "halted" : "was halted by an operator already");
  hwgw_segment_close(segment, false);
  return 0;
}

/* after the last of them is halted: one that is stuck keeps no other waiting */
static int acknowledged(const char *name, const char *text) {
  (void)text;
  struct hwgw_segment *segment = NULL;
  if (hwgw_segment_attach(&segment, name, false, NULL)) return 0; /* told already, or gone meanwhile */
  if (!hwgw_halt_wait(segment, ACKNOWLEDGED_NS))
    fprintf(stderr, "hwgw-halt: %s: halted, but its data process has not acknowledged it for a second\n", name);
  hwgw_segment_close(segment, false);
  return 0;
}

/* every segment there is, also what a gateway that is gone has left: it must not start again unhalted */
static int every(int (*act)(const char *name, const char *text), const char *text) {
  DIR *folder = opendir(SHM);
  if (!folder) {
    fprintf(stderr, "hwgw-halt: %s: %s\n", SHM, strerror(errno));
    return HWGW_ERR_DEVICE;
  }
  int failed = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 || strchr(entry->d_name, '.')) continue;
    int status = act(entry->d_name + strlen(PREFIX), text);
    if (!failed) failed = status;
  }
  closedir(folder);
  return failed;
}

static int usage(const char *problem) {
  fprintf(stderr, "hwgw-halt: %s; hwgw-halt NAME... | --all [--reason TEXT]\n", problem);
  return HWGW_ERR_USAGE;
}

int main(int argc, char **argv) {
  const char *text = "halted by the operator";
  const char *names[NAMES_MAX];
  int name_cnt = 0;
  bool is_all = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--all") == 0) {
      is_all = true;
    } else if (strcmp(argv[i], "--reason") == 0) {
      if (++i == argc) return usage("--reason without its text");
      text = argv[i];
    } else if (argv[i][0] == '-') {
      return usage("an option that it does not know");
    } else if (name_cnt == NAMES_MAX) {
      return usage("more than 64 names");
    } else {
      names[name_cnt++] = argv[i];
    }
  }
  if (is_all == (name_cnt > 0)) return usage("name the gateways to halt, or say --all");
  int failed = 0;
  if (is_all) {
    failed = every(halt, text);
    every(acknowledged, text);
    return failed;
  }
  for (int i = 0; i < name_cnt; i++) {
    int status = halt(names[i], text);
    if (!failed) failed = status;
  }
  for (int i = 0; i < name_cnt; i++) acknowledged(names[i], text);
  return failed;
}
