#include "fetch/rows.hpp"

namespace conveyor {

namespace {

// A short-lived view of a text-like datum, detoasted where it must be.
struct Text {
  struct varlena* value;
  Datum datum;
};

Text open_text(Datum datum) { return {PG_DETOAST_DATUM_PACKED(datum), datum}; }
Bytes bytes_of(const Text& text) { return {VARDATA_ANY(text.value), static_cast<int>(VARSIZE_ANY_EXHDR(text.value))}; }
void close_text(const Text& text) {
  if (PointerGetDatum(text.value) != text.datum) pfree(text.value);
}

}  // namespace

void rows_begin(RowWriter* rows, FrameWriter* frames, AskedKeys* asked, Wanted wanted) {
  *rows = {};
  rows->frames = frames;
  rows->asked = asked;
  rows->wanted = wanted;
  initStringInfo(&rows->id);
}

bool rows_take(void* taker, TupleTableSlot* slot) {
  RowWriter* rows = static_cast<RowWriter*>(taker);
  bool null;
  Datum datum = slot_getattr(slot, 1, &null);
  if (null) return true;  // no id; the query that counts them reports these
  Text id = open_text(datum);
  Bytes bytes = bytes_of(id);

  if (rows->rows > 0 && rows->id.len == bytes.size && memcmp(rows->id.data, bytes.data, bytes.size) == 0) {
    // Which of the two would be the document? Neither: what was written of the first one is taken back.
    if (rows->wanted != Wanted::keys && rows->rows == 1) frame_take_back(rows->frames);
    rows->rows++;
    close_text(id);
    return true;
  }

  rows_settle(rows);
  bool full = frame_full(rows->frames);
  if (full) frame_rotate(rows->frames);
  if (rows->asked != nullptr) asked_met(rows->asked, bytes.data, static_cast<uint32>(bytes.size));
  if (rows->wanted != Wanted::keys) {
    Text document = open_text(slot_getattr(slot, 2, &null));
    if (rows->wanted == Wanted::documents)
      frame_document(rows->frames, bytes, bytes_of(document));
    else
      frame_content(rows->frames, bytes, bytes_of(document));
    close_text(document);
  } else if (rows->asked == nullptr) {
    frame_key(rows->frames, bytes);
  }
  resetStringInfo(&rows->id);
  appendBinaryStringInfo(&rows->id, bytes.data, bytes.size);
  rows->rows = 1;
  close_text(id);
  return !full;
}

void rows_settle(RowWriter* rows) {
  if (rows->wanted != Wanted::keys && rows->rows > 1) {
    char* reason = psprintf("the view has " UINT64_FORMAT " rows with this key", rows->rows);
    frame_refused(rows->frames, {rows->id.data, rows->id.len}, "duplicate_key", reason);
    pfree(reason);
  }
  rows->rows = 0;
}

}  // namespace conveyor
