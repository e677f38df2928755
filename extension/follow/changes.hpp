// The keys that changed between a cursor and a snapshot, in slices of bounded size, from the change log.
#pragma once

#include "follow/keys.hpp"
#include "log/cursor.hpp"

namespace conveyor::follow {

struct Changes;

// `snapshot` must be registered until changes_close().
Changes* changes_open(const migrate::Job* job, const int32* captures, int ncaptures, const PgSnapshot* cursor,
                      Snapshot snapshot, int most);

// The next slice, of `most` keys and a few more at most, each of them once in it; none when there are no more. Valid
// until the next call.
Keys changes_next(Changes* changes);

// The slice handed out last was the last one.
bool changes_at_end(const Changes* changes);

// Why the log does not tell all that has changed; NULL: it does. Complete when changes_next() has come to the end.
const char* changes_incomplete(const Changes* changes);

void changes_close(Changes* changes);

}  // namespace conveyor::follow
