#include "follow/keys.hpp"

#include "fetch/owner.hpp"

extern "C" {
#include "executor/spi.h"
#include "nodes/params.h"
#include "tcop/dest.h"
#include "utils/queryenvironment.h"
#include "utils/tuplestore.h"
}

namespace conveyor::follow {

namespace {

EphemeralNamedRelation named(const Keys& keys, Tuplestorestate* rows) {
  auto* relation = static_cast<EphemeralNamedRelation>(palloc0(sizeof(EphemeralNamedRelationData)));
  relation->md.name = pstrdup(kKeys);
  relation->md.reliddesc = InvalidOid;
  relation->md.tupdesc = keys.shape;
  relation->md.enrtype = ENR_NAMED_TUPLESTORE;
  relation->md.enrtuples = keys.count;
  relation->reldata = rows;
  return relation;
}

ParamListInfo parameter_list(const migrate::Parameters& parameters) {
  if (parameters.count == 0) return nullptr;
  ParamListInfo list = makeParamList(parameters.count);
  for (int i = 0; i < parameters.count; i++)
    list->params[i] = {parameters.values[i], parameters.nulls[i] == 'n', PARAM_FLAG_CONST, parameters.types[i]};
  return list;
}

}  // namespace

TupleDesc key_shape(const migrate::Job* job) {
  TupleDesc shape = CreateTemplateTupleDesc(job->keys);
  for (int i = 0; i < job->keys; i++) {
    AttrNumber number = get_attnum(job->source, job->key[i].name);
    if (number == InvalidAttrNumber)
      ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
              errmsg("column \"%s\" of %s does not exist", job->key[i].name, job->source_name),
              errdetail("It is part of the key of job \"%s\".", job_title(job)));
    Oid type, collation;
    int32 modifier;
    get_atttypetypmodcoll(job->source, number, &type, &modifier, &collation);
    auto column = static_cast<AttrNumber>(i + 1);
    TupleDescInitEntry(shape, column, job->key[i].name, type, -1, 0);
    TupleDescInitEntryCollation(shape, column, collation);
  }
  return shape;
}

HeapTuple key_from_texts(const migrate::Job* job, TupleDesc shape, char** texts) {
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * job->keys));
  auto* none = static_cast<bool*>(palloc0(sizeof(bool) * job->keys));
  int level = settings_enter_pinned();
  for (int i = 0; i < job->keys; i++) {
    Oid function, parameter;
    getTypeInputInfo(job->key[i].type, &function, &parameter);
    values[i] = OidInputFunctionCall(function, texts[i], parameter, -1);
  }
  settings_leave(level);
  return heap_form_tuple(shape, values, none);
}

void run_over(const Keys& keys, const char* sql, const migrate::Parameters& parameters) {
  // In a background worker there is no outer statement that has one; the statement reads in a newer one of its own.
  PushActiveSnapshot(GetTransactionSnapshot());
  SPI_connect();
  Tuplestorestate* rows = tuplestore_begin_heap(false, false, work_mem);
  for (int i = 0; i < keys.count; i++) tuplestore_puttuple(rows, keys.tuples[i]);
  int result = SPI_register_relation(named(keys, rows));
  if (result == SPI_OK_REL_REGISTER) {
    SPIExecuteOptions options = {};
    options.params = parameter_list(parameters);
    options.dest = CreateDestReceiver(DestNone);
    result = SPI_execute_extended(sql, &options);
  }
  if (result < 0) elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(result));
  tuplestore_end(rows);
  SPI_finish();
  PopActiveSnapshot();
}

}  // namespace conveyor::follow
