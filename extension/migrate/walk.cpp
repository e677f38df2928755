#include "migrate/walk.hpp"

#include "migrate/key.hpp"

extern "C" {
#include "access/nbtree.h"
#include "access/visibilitymap.h"
#include "utils/rls.h"
}

namespace conveyor::migrate {

namespace {

bool is_walkable(const Job* job) {
  if (get_rel_relkind(job->source) != RELKIND_RELATION) return false;
  if (check_enable_rls(job->source, InvalidOid, true) != RLS_NONE) return false;
  if (pg_class_aclcheck(job->source, GetUserId(), ACL_SELECT) != ACLCHECK_OK) return false;
  // An index has names in a form of its own.
  for (int i = 0; i < job->keys; i++)
    if (job->key[i].type == NAMEOID) return false;
  return true;
}

Datum value_of(const KeyColumn& column, char* text) {
  Oid function, parameter;
  getTypeInputInfo(column.type, &function, &parameter);
  return OidInputFunctionCall(function, text, parameter, -1);
}

void bound_of_column(ScanKey key, Relation index, StrategyNumber strategy, Datum value) {
  Oid type = index->rd_opcintype[0];
  Oid comparison = get_opfamily_member(index->rd_opfamily[0], type, type, strategy);
  ScanKeyEntryInitialize(key, 0, 1, strategy, InvalidOid, index->rd_indcollation[0], get_opcode(comparison), value);
}

// (a, b, …) <op> (…) as the executor hands it to an index: a header that points to one key a column.
void bound_of_row(ScanKey key, Relation index, StrategyNumber strategy, const Job* job, char** texts) {
  ScanKey members = static_cast<ScanKey>(palloc0(sizeof(ScanKeyData) * job->keys));
  for (int i = 0; i < job->keys; i++) {
    Oid type = index->rd_opcintype[i];
    Oid order = get_opfamily_proc(index->rd_opfamily[i], type, type, BTORDER_PROC);
    ScanKeyEntryInitialize(&members[i], SK_ROW_MEMBER | (i == job->keys - 1 ? SK_ROW_END : 0),
                           static_cast<AttrNumber>(i + 1), strategy, InvalidOid, index->rd_indcollation[i], order,
                           value_of(job->key[i], texts[i]));
  }
  *key = {};
  key->sk_flags = SK_ROW_HEADER;
  key->sk_attno = 1;
  key->sk_strategy = strategy;
  key->sk_argument = PointerGetDatum(members);
}

int bounds_of(ScanKey keys, Relation index, const Job* job, const Range* range) {
  int count = 0;
  auto add = [&](StrategyNumber strategy, char** texts) {
    if (texts == nullptr) return;
    if (job->keys == 1)
      bound_of_column(&keys[count++], index, strategy, value_of(job->key[0], texts[0]));
    else
      bound_of_row(&keys[count++], index, strategy, job, texts);
  };
  add(BTGreaterStrategyNumber, range->first);
  add(BTLessEqualStrategyNumber, range->last);
  return count;
}

char** key_of_entry(IndexScanDesc scan, const Job* job) {
  char** texts = static_cast<char**>(palloc(sizeof(char*) * job->keys));
  for (int i = 0; i < job->keys; i++) {
    bool null;
    Datum value = index_getattr(scan->xs_itup, i + 1, scan->xs_itupdesc, &null);
    Oid function;
    bool varlena;
    getTypeOutputInfo(job->key[i].type, &function, &varlena);
    texts[i] = OidOutputFunctionCall(function, value);
  }
  return texts;
}

// As an index-only scan: the table itself is looked at where a page may hold what is not visible to everybody. What
// that says of a page is kept while entries of the same page follow each other; a row more or less does not matter
// here.
void count_entries(IndexScanDesc scan, Relation table, ScanDirection direction, const Job* job, int64 number,
                   Walk* walk) {
  Buffer map = InvalidBuffer;
  BlockNumber block = InvalidBlockNumber;
  bool all_visible = false;
  TupleTableSlot* slot = table_slot_create(table, nullptr);
  while (ItemPointer at = index_getnext_tid(scan, direction)) {
    if (ItemPointerGetBlockNumber(at) != block) {
      CHECK_FOR_INTERRUPTS();
      block = ItemPointerGetBlockNumber(at);
      all_visible = VM_ALL_VISIBLE(table, block, &map);
    }
    if (!all_visible && !index_fetch_heap(scan, slot)) continue;
    if (++walk->rows < number) continue;
    walk->key = key_of_entry(scan, job);
    break;
  }
  ExecDropSingleTupleTableSlot(slot);
  if (map != InvalidBuffer) ReleaseBuffer(map);
}

}  // namespace

bool walk_index(const Job* job, const Range* range, int64 number, Walk* walk) {
  *walk = {};
  if (!is_walkable(job)) return false;
  Relation table = try_relation_open(job->source, AccessShareLock);
  if (table == nullptr) return false;  // dropped meanwhile: the query says so
  Relation index = open_key_index(table, job);
  if (index != nullptr) {
    PushActiveSnapshot(GetTransactionSnapshot());
    ScanKeyData keys[2];
    int count = bounds_of(keys, index, job, range);
    IndexScanDesc scan = compat::begin_index_scan(table, index, GetActiveSnapshot(), count);
    scan->xs_want_itup = true;
    index_rescan(scan, keys, count, nullptr, 0);
    bool descending = (index->rd_indoption[0] & INDOPTION_DESC) != 0;
    count_entries(scan, table, descending ? BackwardScanDirection : ForwardScanDirection, job, number, walk);
    index_endscan(scan);
    PopActiveSnapshot();
    relation_close(index, AccessShareLock);
  }
  relation_close(table, NoLock);
  return index != nullptr;
}

}  // namespace conveyor::migrate
