#include "analyse/table.hpp"

#include "fetch/feed.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/catalog.h"
}

namespace conveyor {

namespace {

const char* obstacle(const Form_pg_class form, Oid relation) {
  if (form->relpersistence == RELPERSISTENCE_TEMP) return "is a temporary table, which one session sees only";
  if (form->relpersistence == RELPERSISTENCE_UNLOGGED) return "is an unlogged table, which a crash empties";
  if (form->relkind == RELKIND_FOREIGN_TABLE) return "is a foreign table, whose changes happen elsewhere";
  if (form->relkind == RELKIND_MATVIEW) return "is a materialized view, which changes by REFRESH only";
  if (form->relkind == RELKIND_SEQUENCE) return "is a sequence";
  if (relation < FirstNormalObjectId || IsCatalogNamespace(form->relnamespace)) return "is a system table";
  return nullptr;
}

}  // namespace

const char* capture_obstacle(Oid oid) {
  Relation relation = relation_open(oid, AccessShareLock);
  const char* problem = obstacle(relation->rd_rel, oid);
  relation_close(relation, NoLock);
  return problem;
}

void require_capturable(Oid oid) {
  if (const char* problem = capture_obstacle(oid); problem != nullptr)
    ereport(ERROR,
            (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("changes of \"%s\" cannot be captured", relation_name(oid)),
             errdetail("A document is made of it, but it %s.", problem),
             errhint("Keep what the documents need of it in an ordinary table, and let the view read that.")));
}

int primary_key(Oid oid, AttrNumber** columns) {
  Relation relation = relation_open(oid, AccessShareLock);
  RelationGetIndexList(relation);
  int count = 0;
  if (OidIsValid(relation->rd_pkindex)) {
    Relation index = relation_open(relation->rd_pkindex, AccessShareLock);
    count = index->rd_index->indnkeyatts;
    *columns = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * count));
    for (int i = 0; i < count; i++) (*columns)[i] = index->rd_index->indkey.values[i];
    relation_close(index, AccessShareLock);
  }
  relation_close(relation, NoLock);
  return count;
}

}  // namespace conveyor
