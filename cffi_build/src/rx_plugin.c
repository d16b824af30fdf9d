/* rx_plugin.c: the dpdk backend as the rest sees it: its shared object is loaded when it is asked for.
 *
 * SPDX-License-Identifier: MIT
 *
 * The shared object (dpdk/) is linked with DPDK; this file is not, so that a machine without DPDK runs everything else.
 * It is looked for beside the file this code stands in. What keeps it from being used is said exactly: not built in and
 * why, no such file, what the dynamic linker says, another build. Loaded once per process and never given back, as DPDK
 * cannot start twice. Cost: some 10 ms and 20 MB of address space at the first question. Thread: any, one at a time.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include "rx_plugin.h"

#ifndef HWGW_NO_DPDK

#define PLUGIN_FILE "_rx_dpdk.so"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct hwgw_rx_ops *loaded;

/* the plugin's operations, or NULL and the reason in text */
static const struct hwgw_rx_ops *plugin_load(char *text, size_t sz) {
  static const struct hwgw_rx_host host = {.note = hwgw_rx_note, .join = hwgw_rx_join};
  Dl_info self;
  if (!dladdr(&host, &self) || !self.dli_fname) {
    snprintf(text, sz, "dladdr does not know where the native module is");
    return NULL;
  }
  char path[4096];
  const char *slash = strrchr(self.dli_fname, '/');
  int folder = slash ? (int)(slash - self.dli_fname) : 1;
  if (snprintf(path, sizeof path, "%.*s/" PLUGIN_FILE, folder, slash ? self.dli_fname : ".") >= (int)sizeof path) {
    snprintf(text, sz, "the folder of the native module has too long a name");
    return NULL;
  }
  if (access(path, F_OK)) {
    snprintf(text, sz, PLUGIN_FILE " is not beside the native module; install hwgw again, built with DPDK");
    return NULL;
  }
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!object) {
    const char *said = dlerror();
    snprintf(text, sz, "%s", said ? said : "dlopen failed");
    return NULL;
  }
  const struct hwgw_rx_plugin *plugin = dlsym(object, "hwgw_rx_plugin");
  if (!plugin || plugin->abi != HWGW_RX_PLUGIN_ABI) {
    snprintf(text, sz, PLUGIN_FILE " is of another build (interface %016llx, needed %016llx); build both together",
             plugin ? (unsigned long long)plugin->abi : 0, (unsigned long long)HWGW_RX_PLUGIN_ABI);
    dlclose(object);
    return NULL;
  }
  plugin->attach(&host);
  return plugin->ops;
}

static const struct hwgw_rx_ops *plugin_find(char *text, size_t sz) {
  pthread_mutex_lock(&lock);
  if (!loaded) loaded = plugin_load(text, sz);
  const struct hwgw_rx_ops *found = loaded;
  pthread_mutex_unlock(&lock);
  return found;
}

#else

static const struct hwgw_rx_ops *plugin_find(char *text, size_t sz) {
  snprintf(text, sz, "not built in: %s", HWGW_NO_DPDK);
  return NULL;
}

#endif

static int32_t plugin_open(struct hwgw_rx **rx, const struct hwgw_rx_cfg *cfg, struct hwgw_error *error) {
  char text[400];
  const struct hwgw_rx_ops *ops = plugin_find(text, sizeof text);
  return ops ? ops->open(rx, cfg, error) : hwgw_error_set(error, HWGW_ERR_DEVICE, 0, "rx dpdk: %s", text);
}

static bool plugin_available(char *text, uint32_t sz) {
  const struct hwgw_rx_ops *ops = plugin_find(text, sz);
  return ops && ops->available(text, sz);
}

/* never called: an open backend carries its own operations; here so that the backend is known to send */
static uint32_t plugin_send(struct hwgw_rx *rx, const struct hwgw_frame *frames, uint32_t cnt) {
  return rx->ops->send(rx, frames, cnt);
}

const struct hwgw_rx_ops hwgw_rx_dpdk = {
    .name = "dpdk",
    .open = plugin_open,
    .send = plugin_send,
    .available = plugin_available,
    .has_interface = true, /* where one is named beside the port, or instead of it */
};
