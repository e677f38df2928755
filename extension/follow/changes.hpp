// The keys that changed between a cursor and a snapshot, in slices of bounded size, from the change log.
#pragma once

#include "follow/keys.hpp"
#include "log/cursor.hpp"
#include "log/scan.hpp"

namespace conveyor::follow {

struct Changes;

// How far one has got: so many bytes of this row's entries have been handed out, and all rows before it.
struct ChangesPlace {
  LogPlace row;  // nowhere: nothing has
  int32 bytes;
};

// `snapshot` must be registered until changes_close().
Changes* changes_open(const migrate::Job* job, const int32* captures, int ncaptures, const PgSnapshot* cursor,
                      Snapshot snapshot, int most);

// Before the first slice: goes on at a place that another one with the same cursor has come to, in this transaction or
// an earlier one, and ends with what had ended in `end`, which must be inside `snapshot`. Where the row is not there
// any more it begins at the beginning.
void changes_go_on(Changes* changes, const ChangesPlace& place, const PgSnapshot* end);

// The next slice, of `most` keys at most, each of them once in it; none when there are no more. Valid until the next
// call.
Keys changes_next(Changes* changes);

// Behind the slice handed out last.
ChangesPlace changes_place(const Changes* changes);

// How many changes, as they were captured, the slices handed out have come from.
int64 changes_seen(const Changes* changes);

// The slice handed out last was the last one.
bool changes_at_end(const Changes* changes);

// Why the log does not tell all that has changed; NULL: it does. Complete when changes_next() has come to the end.
const char* changes_incomplete(const Changes* changes);

void changes_close(Changes* changes);

}  // namespace conveyor::follow
