#include "capture/transaction.hpp"

#include "capture/buffer.hpp"
#include "capture/flush.hpp"
#include "failpoint.hpp"

namespace conveyor {

namespace {

// Set at PRE_COMMIT: what other extensions still change after the flush is written at once.
bool flushed = false;
// The level in which a flush is going on (it may use a subtransaction of its own), or 0.
int flushing = 0;
// The subtransaction level whose end has written its parent's entries too, or 0. They leave the buffer only when that
// end is certain: until then its rollback must find them.
int written_with = 0;

// Bytes that the entries of one level may take beside `outer` bytes of the levels below. Entries are written by whole
// levels, since a row lives and dies with the subtransaction that writes it; the sixteenth keeps rows well packed where
// outer levels fill the buffer. What they hold cannot be written by an inner one: so where many levels have come
// together, one row's worth has to do.
constexpr Size deep_limit = 2048;
Size spill_limit(Size outer) {
  Size size = static_cast<Size>(settings.buffer_size) * 1024;
  if (outer > 2 * size) return deep_limit;
  return Max(size / 16, size > outer ? size - outer : 0);
}

bool over_limit(int level) { return buffer.own_size(level) > spill_limit(buffer.outer_size(level)); }

void flush_level(int level) {
  flushing = GetCurrentTransactionNestLevel();
  flush_entries(buffer.first_entry(level));
  flushing = 0;
}

void end_transaction() {
  buffer.reset();
  overflow_reset();
  flushed = false;
  flushing = written_with = 0;
}

void on_transaction(XactEvent event, void*) {
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE:
      // Also where there is nothing to write yet: another extension's callback may come behind this one.
      flushed = true;
      if (buffer.empty()) break;
      failpoint("capture_before_flush");
      flush_level(1);
      buffer.drop(1);
      failpoint("capture_after_flush");
      break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_PREPARE:
      // Behind the commit record an ERROR would be a PANIC.
      Assert(buffer.empty());
      if (!buffer.empty()) {
        ereport(WARNING, errcode(ERRCODE_INTERNAL_ERROR), errmsg("captured changes were not written to the change log"),
                errhint("Run SELECT conveyor.resync_all(delivery) for every delivery, and report this."));
      }
      end_transaction();
      break;
    case XACT_EVENT_ABORT:
      end_transaction();
      break;
    default:
      break;
  }
}

void on_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
  int level = GetCurrentTransactionNestLevel();
  switch (event) {
    case SUBXACT_EVENT_PRE_COMMIT_SUB:
      // Many small subtransactions, each below the limit, grow their parent: the only place to write its entries is
      // inside one that ends, for they live and die with the parent from then on.
      if (flushing != 0 || buffer.empty() || !over_limit(level - 1)) break;
      flush_level(level - 1);
      written_with = level;
      break;
    case SUBXACT_EVENT_COMMIT_SUB:
      if (written_with == level) {
        buffer.drop(level - 1);
        written_with = 0;
      }
      buffer.level_committed(level);
      overflow_level_committed(level);
      break;
    case SUBXACT_EVENT_ABORT_SUB:
      if (written_with == level) written_with = 0;
      if (level <= flushing) flushing = 0;
      buffer.level_aborted(level);
      overflow_level_aborted(level);
      break;
    default:
      break;
  }
}

}  // namespace

void follow_transactions() {
  RegisterXactCallback(on_transaction, nullptr);
  RegisterSubXactCallback(on_subtransaction, nullptr);
}

void capture_reserved(int32 capture, LogKind kind, uint32 length) {
  int level = GetCurrentTransactionNestLevel();
  buffer.add(capture, kind, length, level);
  if (likely(!flushed) && !over_limit(level)) return;
  flush_level(level);
  buffer.drop(level);
}

}  // namespace conveyor
