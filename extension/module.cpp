#include "compat.hpp"

#include "capture/transaction.hpp"
#include "capture/watch_cache.hpp"
#include "examine/probe.hpp"
#include "log/segments.hpp"
#include "migrate/launch.hpp"
#include "settings.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init();
}

void _PG_init() {
  conveyor::define_settings();
  conveyor::follow_transactions();
  conveyor::follow_watches();
  conveyor::follow_segments();
  conveyor::follow_executor();
  conveyor::migrate::follow_launches();
}
