// What a capture trigger's arguments mean for the table it fires on, kept per session and rebuilt when the table
// changes.
#pragma once

#include "compat.hpp"

extern "C" {
#include "commands/trigger.h"
}

namespace conveyor {

struct WatchedColumn {
  AttrNumber number;
  int16 typlen;
  bool byval;
};

struct Watch {
  Oid trigger;  // hash key
  Oid relation;
  bool valid;
  bool stray;     // the capture is another table's (a trigger that a dump brought along): nothing is recorded
  bool nullable;  // entries carry a null bitmap
  bool plain;     // what is recorded is NOT NULL and by value: nothing but varints
  int32 capture;
  AttrNumber last;  // highest column number needed
  int ncompared;
  WatchedColumn* compared;  // an UPDATE counts where one of these differs as an image
  int nrecorded;
  WatchedColumn* recorded;
  const char* broken;  // not null: why the keys cannot be recorded; every change then says "re-check"
  MemoryContext context;
};

void follow_watches();

// Is the table what the capture records, or a part of it?
bool is_captured(Relation relation, int32 capture);

// The watch of the trigger that fires. Valid until the next call.
const Watch* watch_of(TriggerData* trigger);

}  // namespace conveyor
