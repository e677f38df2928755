#include "analyse/changed_shape.hpp"

#include "fetch/feed.hpp"

extern "C" {
#include "utils/tuplestore.h"
}

namespace conveyor {

TupleDesc shape_of_changed(Oid relation, char** columns, int count) {
  TupleDesc shape = CreateTemplateTupleDesc(count);
  for (int i = 0; i < count; i++) {
    AttrNumber number = get_attnum(relation, columns[i]);
    if (number <= 0)
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                      errmsg("table %s has no column \"%s\"", relation_name(relation), columns[i]),
                      errhint("Name columns of the table whose changes matter.")));
    Oid type;
    int32 modifier;
    Oid collation;
    get_atttypetypmodcoll(relation, number, &type, &modifier, &collation);
    TupleDescInitEntry(shape, static_cast<AttrNumber>(i + 1), columns[i], type, -1, 0);
    TupleDescInitEntryCollation(shape, static_cast<AttrNumber>(i + 1), collation);
  }
  return shape;
}

QueryEnvironment* environment_with_changed(TupleDesc shape, double expected) {
  QueryEnvironment* environment = create_queryEnv();
  EphemeralNamedRelation changed = static_cast<EphemeralNamedRelation>(palloc0(sizeof(EphemeralNamedRelationData)));
  changed->md.name = pstrdup("changed");
  changed->md.tupdesc = shape;
  changed->md.enrtype = ENR_NAMED_TUPLESTORE;
  changed->md.enrtuples = expected;
  changed->reldata = tuplestore_begin_heap(false, false, work_mem);
  register_ENR(environment, changed);
  return environment;
}

}  // namespace conveyor
