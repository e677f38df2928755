// The ring of segments. A writer's segment follows from its own top-level transaction id: never from a shared "current"
// one, which a long transaction would see too late. The mapping only keeps transactions that end together in one place;
// it binds nobody, since readers look into every segment. So a writer may use an old ring, or step aside from a segment
// that is just being emptied.
#pragma once

#include "compat.hpp"

namespace conveyor {

struct Segments {
  int count;
  Oid relations[FLEXIBLE_ARRAY_MEMBER];  // in ring order
};

// Registers the invalidation of the writers' cached ring.
void follow_segments();

// A table of the extension; InvalidOid when the extension is not there (any more).
Oid extension_table(const char* name);

// The ring as it is in the latest snapshot (palloc). Readers must use this and never the cache: between the commit of a
// growth and its invalidation another session may already have written into a new segment.
Segments* read_segments();

// Where transaction `xid` belongs among `count` segments.
int segment_of(uint64 xid, int count);

// The segment to write into, locked ROW EXCLUSIVE until the end of the transaction; null when the extension is gone.
Relation open_segment_for_writing(uint64 xid);

// Bytes of all segments with their out-of-line values. A segment that is being emptied counts as empty: never waits.
uint64 segments_size();

}  // namespace conveyor
