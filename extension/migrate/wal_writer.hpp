// Waking the WAL writer while a batch runs.
//
// By itself it looks every wal_writer_delay (200 ms), in which a batch fills the WAL buffers several times over. Then
// the batch writes WAL itself, a page at a time and waiting for the disk at the end of each file, while other workers
// queue behind it; and what is left is waited for when it commits. Woken in time the WAL writer does that beside it.
// Nothing else changes: what is flushed when is still the server's to decide (wal_writer_flush_after), and a commit
// waits for its own record as ever.
#pragma once

namespace conveyor::migrate {

void wal_writer_hurry();
void wal_writer_relax();

}  // namespace conveyor::migrate
