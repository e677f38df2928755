#include "migrate/walk.hpp"

#include "migrate/key.hpp"
#include "migrate/leaf.hpp"

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

Datum value_of_entry(Relation index, IndexTuple entry, int column) {
  bool null;
  return index_getattr(entry, column + 1, RelationGetDescr(index), &null);
}

char** key_of_entry(Relation index, IndexTuple entry, const Job* job) {
  char** texts = static_cast<char**>(palloc(sizeof(char*) * job->keys));
  for (int i = 0; i < job->keys; i++) {
    Oid function;
    bool varlena;
    getTypeOutputInfo(job->key[i].type, &function, &varlena);
    texts[i] = OidOutputFunctionCall(function, value_of_entry(index, entry, i));
  }
  return texts;
}

// A key as the index compares it; no values: there is no bound.
struct Bound {
  Datum* values;
};

Bound bound_of(const Job* job, char** texts) {
  Bound bound = {};
  if (texts == nullptr) return bound;
  bound.values = static_cast<Datum*>(palloc(sizeof(Datum) * job->keys));
  for (int i = 0; i < job->keys; i++) bound.values[i] = value_of(job->key[i], texts[i]);
  return bound;
}

// Does the entry lie behind it? An index that descends is gone through backwards: larger is behind, either way.
bool is_behind(Relation index, IndexTuple entry, const Bound& bound, int keys) {
  for (int i = 0; i < keys; i++) {
    FmgrInfo* order = index_getprocinfo(index, static_cast<AttrNumber>(i + 1), BTORDER_PROC);
    int32 difference = DatumGetInt32(
        FunctionCall2Coll(order, index->rd_indcollation[i], value_of_entry(index, entry, i), bound.values[i]));
    if (difference != 0) return difference > 0;
  }
  return false;
}

// Entries of the page from the first that lies behind `bound` on, or all: that many are not.
int entries_up_to(const Leaf* leaf, const Bound& bound, int keys) {
  int low = 0;
  for (int high = leaf_entries(leaf); low < high;) {
    int middle = low + (high - low) / 2;
    if (is_behind(leaf->index, leaf_entry(leaf, middle), bound, keys))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

// Which rows are visible, as an index-only scan knows it: the table itself is looked at where a page may hold what is
// not visible to everybody. What that says of a page is kept while entries of the same page follow each other; a row
// more or less does not matter here.
struct Sight {
  Relation table;
  IndexScanDesc scan;
  TupleTableSlot* slot;
  Buffer map;
  BlockNumber block;
  bool all_visible;
};

bool is_visible(Sight* sight, ItemPointer row) {
  if (ItemPointerGetBlockNumber(row) != sight->block) {
    sight->block = ItemPointerGetBlockNumber(row);
    sight->all_visible = VM_ALL_VISIBLE(sight->table, sight->block, &sight->map);
  }
  if (sight->all_visible) return true;
  sight->scan->xs_heaptid = *row;
  return index_fetch_heap(sight->scan, sight->slot);
}

int visible_rows(Sight* sight, IndexTuple entry) {
  int visible = 0;
  for (int i = 0; i < entry_rows(entry); i++)
    if (is_visible(sight, entry_row(entry, i))) visible++;
  return visible;
}

// The scan has found its first row.
void count_rows(Sight* sight, Leaf* leaf, const Job* job, const Range* range, int64 number, Walk* walk) {
  Bound first = bound_of(job, range->first);
  Bound last = bound_of(job, range->last);
  int from = first.values != nullptr ? entries_up_to(leaf, first, job->keys) : 0;
  for (bool more = true; more; more = leaf_next(leaf), from = 0) {
    int count = leaf_entries(leaf);
    int upto = last.values != nullptr ? entries_up_to(leaf, last, job->keys) : count;
    for (int i = from; i < upto; i++) {
      if (leaf_entry_is_dead(leaf, i)) continue;
      IndexTuple entry = leaf_entry(leaf, i);
      walk->rows += visible_rows(sight, entry);
      if (walk->rows < number) continue;
      walk->key = key_of_entry(leaf->index, entry, job);
      return;
    }
    if (upto < count) return;
  }
}

// Goes to where the range begins as any scan does, and from there on through the pages by itself.
void walk_pages(Relation table, Relation index, const Job* job, const Range* range, int64 number, Walk* walk) {
  ScanKeyData keys[2];
  int count = bounds_of(keys, index, job, range);
  IndexScanDesc scan = compat::begin_index_scan(table, index, GetActiveSnapshot(), count);
  index_rescan(scan, keys, count, nullptr, 0);
  bool backward = (index->rd_indoption[0] & INDOPTION_DESC) != 0;
  Leaf leaf;
  if (index_getnext_tid(scan, backward ? BackwardScanDirection : ForwardScanDirection) != nullptr &&
      leaf_begin(&leaf, scan, backward)) {
    Sight sight = {table, scan, table_slot_create(table, nullptr), InvalidBuffer, InvalidBlockNumber, false};
    count_rows(&sight, &leaf, job, range, number, walk);
    ExecDropSingleTupleTableSlot(sight.slot);
    if (sight.map != InvalidBuffer) ReleaseBuffer(sight.map);
  }
  index_endscan(scan);
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
    walk_pages(table, index, job, range, number, walk);
    PopActiveSnapshot();
    relation_close(index, AccessShareLock);
  }
  relation_close(table, NoLock);
  return index != nullptr;
}

}  // namespace conveyor::migrate
