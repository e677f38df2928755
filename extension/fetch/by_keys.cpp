// fetch_keys(delivery, keys, at_least) and absent_keys(delivery, keys, at_least).
#include "fetch/answer.hpp"
#include "fetch/query.hpp"
#include "fetch/rows.hpp"

namespace conveyor {

namespace {

struct KeysAnswer {
  Answer base;
  AskedKeys asked;
  RowWriter rows;
  bool documents;
};

void open(Answer* base, FunctionCallInfo fcinfo, bool documents) {
  KeysAnswer* answer = reinterpret_cast<KeysAnswer*>(base);
  int count;
  char** keys = key_arguments(fcinfo, 1, &count);
  answer->documents = documents;
  asked_init(&answer->asked, base->feed, keys, count);
  rows_begin(&answer->rows, &base->frames, &answer->asked, documents ? Wanted::documents : Wanted::keys);

  SPI_connect();
  const char* sql = query_by_keys(base->feed, documents ? Wanted::documents : Wanted::keys);
  cursor_open(&base->cursor, kept_query(base->feed, sql, true), answer->asked.arrays, nullptr);
  SPI_finish();
}

void open_documents(Answer* base, FunctionCallInfo fcinfo) { open(base, fcinfo, true); }
void open_absent(Answer* base, FunctionCallInfo fcinfo) { open(base, fcinfo, false); }

bool more(Answer* base) {
  KeysAnswer* answer = reinterpret_cast<KeysAnswer*>(base);
  if (cursor_is_open(&base->cursor)) {
    if (!cursor_run(&base->cursor, rows_take, &answer->rows)) return false;
    rows_settle(&answer->rows);
  }
  const char* key;
  uint32 length;
  while (asked_next_missing(&answer->asked, &key, &length)) {
    Bytes bytes = {key, static_cast<int>(length)};
    if (answer->documents)
      frame_missing(&base->frames, bytes);
    else
      frame_key(&base->frames, bytes);
    if (frame_full(&base->frames)) {
      frame_rotate(&base->frames);
      return false;
    }
  }
  return true;
}

constexpr AnswerKind kDocuments = {sizeof(KeysAnswer), open_documents, more, nullptr};
constexpr AnswerKind kAbsent = {sizeof(KeysAnswer), open_absent, more, nullptr};

}  // namespace

}  // namespace conveyor

CONVEYOR_FUNCTION(fetch_keys) { return conveyor::answer_next(fcinfo, &conveyor::kDocuments, 2); }
CONVEYOR_FUNCTION(absent_keys) { return conveyor::answer_next(fcinfo, &conveyor::kAbsent, 2); }
