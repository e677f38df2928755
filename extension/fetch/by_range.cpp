// fetch_range(), range_contents() and range_keys(delivery, first, last, at_least).
#include "fetch/answer.hpp"
#include "fetch/query.hpp"
#include "fetch/rows.hpp"

namespace conveyor {

namespace {

struct RangeAnswer {
  Answer base;
  RowWriter rows;
  bool count_nulls;  // rows without a key still have to be counted
};

void open(Answer* base, FunctionCallInfo fcinfo, Wanted wanted) {
  RangeAnswer* answer = reinterpret_cast<RangeAnswer*>(base);
  bool first = !PG_ARGISNULL(1);
  bool last = !PG_ARGISNULL(2);
  Datum* values = static_cast<Datum*>(palloc0(sizeof(Datum) * 2 * base->feed->keys));
  int count;
  if (first) {
    char** texts = key_arguments(fcinfo, 1, &count);
    key_values(base->feed, texts, count, values);
  }
  if (last) {
    char** texts = key_arguments(fcinfo, 2, &count);
    key_values(base->feed, texts, count, values + (first ? base->feed->keys : 0));
  }
  rows_begin(&answer->rows, &base->frames, nullptr, wanted);
  answer->count_nulls = wanted != Wanted::keys && !first;

  SPI_connect();
  const char* sql = query_by_range(base->feed, wanted, first, last);
  // Planned for these bounds each time: what is best for a thousand rows is not for all of them.
  cursor_open(&base->cursor, prepare_query(base->feed, sql, first + last, false, InvalidOid), values, nullptr);
  SPI_finish();
}

void open_documents(Answer* base, FunctionCallInfo fcinfo) { open(base, fcinfo, Wanted::documents); }
void open_contents(Answer* base, FunctionCallInfo fcinfo) { open(base, fcinfo, Wanted::contents); }
void open_keys(Answer* base, FunctionCallInfo fcinfo) { open(base, fcinfo, Wanted::keys); }

// Rows whose key is NULL are in no range; the one that begins at the beginning speaks for them. The empty key is
// theirs: it is the id of no document.
bool take_nulls(void* taker, TupleTableSlot* slot) {
  Answer* base = static_cast<Answer*>(taker);
  bool null;
  int64 rows = DatumGetInt64(slot_getattr(slot, 2, &null));
  if (rows > 0)
    frame_refused(&base->frames, {"", 0}, "null_key",
                  psprintf("the view has " INT64_FORMAT " rows without a key", rows));
  return true;
}

bool more(Answer* base) {
  RangeAnswer* answer = reinterpret_cast<RangeAnswer*>(base);
  if (cursor_is_open(&base->cursor)) {
    if (!cursor_run(&base->cursor, rows_take, &answer->rows)) return false;
    rows_settle(&answer->rows);
  }
  if (answer->count_nulls) {
    answer->count_nulls = false;
    SPI_connect();
    cursor_open(&base->cursor, prepare_query(base->feed, query_null_keys(base->feed), 0, false, InvalidOid), nullptr,
                nullptr);
    SPI_finish();
    cursor_run(&base->cursor, take_nulls, base);
  }
  return true;
}

constexpr AnswerKind kDocuments = {sizeof(RangeAnswer), open_documents, more, nullptr};
constexpr AnswerKind kContents = {sizeof(RangeAnswer), open_contents, more, nullptr};
constexpr AnswerKind kKeys = {sizeof(RangeAnswer), open_keys, more, nullptr};

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(fetch_range) { return conveyor::answer_next(fcinfo, &conveyor::kDocuments, 3); }
CONVEYOR_FUNCTION(range_contents) { return conveyor::answer_next(fcinfo, &conveyor::kContents, 3); }
CONVEYOR_FUNCTION(range_keys) { return conveyor::answer_next(fcinfo, &conveyor::kKeys, 3); }
