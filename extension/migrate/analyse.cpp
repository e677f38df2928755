// analyse_job(source, statement, call, key, options, search_path): what add_job() must know of a job, and all that it
// must refuse. Runs with the caller's rights, which are those that the job will have.
#include "analyse/walker.hpp"
#include "fetch/answer.hpp"
#include "fetch/owner.hpp"
#include "migrate/attempt.hpp"
#include "migrate/key.hpp"
#include "migrate/parse.hpp"
#include "migrate/statement.hpp"

extern "C" {
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parser.h"
#include "utils/jsonb.h"
#include "utils/regproc.h"
#include "utils/acl.h"
#include "utils/syscache.h"
}

namespace conveyor::migrate {

namespace {

enum Argument { kSource, kStatement, kCall, kKey, kOptions, kSearchPath };

const char* name_of(Oid relation) { return relation_name(relation); }

void require_source(Oid source) {
  if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(source)))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                    errmsg("source of the job does not exist: there is no relation with OID %u", source)));
  char kind = get_rel_relkind(source);
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("%s cannot be the source of a job", name_of(source)),
                    errdetail("It is not a table: ranges of its rows cannot be read by a unique index."),
                    errhint("Name a table or a partitioned table, and join or filter in the statement.")));
  if (get_rel_persistence(source) == RELPERSISTENCE_TEMP)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("%s cannot be the source of a job", name_of(source)),
                    errdetail("It is a temporary table, which no background worker sees.")));
  if (kind == RELKIND_RELATION && has_subclass(source) && find_inheritance_children(source, NoLock) != NIL)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("%s cannot be the source of a job", name_of(source)),
                    errdetail("Tables inherit from it, and no key is unique across them."),
                    errhint("Add one job for each of these tables.")));
}

// The option, or NULL.
const char* option(Jsonb* options, const char* name) {
  JsonbValue value;
  if (options == nullptr) return nullptr;
  JsonbValue* found = getKeyJsonValueFromContainer(&options->root, name, static_cast<int>(strlen(name)), &value);
  return found != nullptr && found->type == jbvString ? pnstrdup(found->val.string.val, found->val.string.len)
                                                      : nullptr;
}

// --- what a statement reads and writes ---

struct Reads {
  const char* name;  // of the CTE in front
  int depth;         // of queries around the present one
  bool met;
};

bool finds_batch(Node* node, void* context) {
  if (node == nullptr) return false;
  Reads* reads = static_cast<Reads*>(context);
  if (!IsA(node, Query)) return expression_tree_walker(node, as_walker(finds_batch), context);
  Query* query = reinterpret_cast<Query*>(node);
  ListCell* cell;
  foreach (cell, query->rtable) {
    const RangeTblEntry* entry = lfirst_node(RangeTblEntry, cell);
    if (entry->rtekind == RTE_CTE && static_cast<int>(entry->ctelevelsup) == reads->depth &&
        strcmp(entry->ctename, reads->name) == 0)
      reads->met = true;
  }
  reads->depth++;
  bool stop = query_tree_walker(query, as_walker(finds_batch), context, 0);
  reads->depth--;
  return stop;
}

bool is_foreign(Oid relation) {
  if (get_rel_relkind(relation) == RELKIND_FOREIGN_TABLE) return true;
  ListCell* cell;
  foreach (cell, find_all_inheritors(relation, NoLock, nullptr))
    if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_FOREIGN_TABLE) return true;
  return false;
}

// Of the statement and of the queries in its WITH.
bool refuse_foreign_target(Node* node, void* context) {
  if (node == nullptr) return false;
  if (!IsA(node, Query)) return expression_tree_walker(node, as_walker(refuse_foreign_target), context);
  Query* query = reinterpret_cast<Query*>(node);
  if (query->resultRelation > 0) {
    Oid target = list_nth_node(RangeTblEntry, query->rtable, query->resultRelation - 1)->relid;
    if (is_foreign(target))
      ereport(
          ERROR,
          (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
           errmsg("the job would write to a foreign table: %s", name_of(target)),
           errdetail("What happens on another server does not commit together with the checkpoint: after a crash a "
                     "batch could be there twice."),
           errhint("Let the job write to a table of this database, and send that: SELECT conveyor.create_feed(...).")));
  }
  return query_tree_walker(query, as_walker(refuse_foreign_target), context, 0);
}

// The relations that are written to, without a call's.
bool collect_targets(Node* node, void* context) {
  if (node == nullptr) return false;
  if (!IsA(node, Query)) return expression_tree_walker(node, as_walker(collect_targets), context);
  Query* query = reinterpret_cast<Query*>(node);
  List** targets = static_cast<List**>(context);
  if (query->resultRelation > 0)
    *targets =
        list_append_unique_oid(*targets, list_nth_node(RangeTblEntry, query->rtable, query->resultRelation - 1)->relid);
  return query_tree_walker(query, as_walker(collect_targets), context, 0);
}

void require_reads(Query* query, const char* relation, const char* what) {
  // The query itself is one level below what its own CTEs are counted from.
  Reads reads = {relation, 0, false};
  finds_batch(reinterpret_cast<Node*>(query), &reads);
  if (reads.met) return;
  Oid shadow = RelnameGetRelid(relation);
  ereport(ERROR,
          (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s does not read \"%s\"", what, relation),
           OidIsValid(shadow)
               ? errdetail("There is a table %s, but the rows of a batch are in the relation \"%s\", without a schema.",
                           name_of(shadow), relation)
               : errdetail("Each batch would do the same; \"%s\" has the rows that it is to work on.", relation),
           errhint("%s", example_of(relation))));
}

Query* analyse(const Sql& sql) {
  List* statements = raw_parser(sql.text, RAW_PARSE_DEFAULT);
  return parse_analyze_fixedparams(linitial_node(RawStmt, statements), sql.text, sql.parameters.types,
                                   sql.parameters.count, nullptr);
}

// Plans it and starts it without running it: that asks for all rights that it needs.
void explain(const Sql& sql) { run(psprintf("EXPLAIN %s", sql.text), sql.parameters); }

// --- a call ---

void require_call(const Job* job) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(job->call));
  if (!HeapTupleIsValid(tuple))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                    errmsg("call of the job does not exist: there is no function with OID %u", job->call)));
  Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  const char* name = format_procedure(job->call);
  if (form->prokind != PROKIND_FUNCTION && form->prokind != PROKIND_PROCEDURE)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("%s is not a function or procedure that a job could call", name)));
  bool null;
  SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargmodes, &null);
  bool matches =
      form->pronargs == 2 * job->keys && (null || form->prokind == PROKIND_FUNCTION) && !OidIsValid(form->provariadic);
  StringInfoData wanted;
  initStringInfo(&wanted);
  for (int i = 0; i < 2 * job->keys; i++) {
    Oid type = job->key[i % job->keys].type;
    appendStringInfo(&wanted, "%s%s", i == 0 ? "" : ", ", format_type_be(type));
    if (matches && !can_coerce_type(1, &type, &form->proargtypes.values[i], COERCION_IMPLICIT)) matches = false;
  }
  if (!matches)
    ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
                    errmsg("%s does not take the first and the last key of a batch", name),
                    errdetail("A job calls it with all columns of the first key, then with all of the last one: (%s).",
                              wanted.data),
                    errhint("Define it with these arguments, without output arguments.")));
  ReleaseSysCache(tuple);
  if (compat::may_execute(job->call, GetUserId()) != ACLCHECK_OK)
    aclcheck_error(ACLCHECK_NO_PRIV, form->prokind == PROKIND_PROCEDURE ? OBJECT_PROCEDURE : OBJECT_FUNCTION, name);
}

// --- all together ---

void check_statements(Job* job, const char* delete_statement, List** targets) {
  Sql sql = example_sql(job);
  if (job->statement != nullptr) {
    Query* query = analyse(sql);
    require_reads(query, "batch", "statement of the job");
    refuse_foreign_target(reinterpret_cast<Node*>(query), nullptr);
    collect_targets(reinterpret_cast<Node*>(query), targets);
  }
  explain(sql);
  if (delete_statement == nullptr) return;
  Sql gone = gone_example_sql(job, delete_statement);
  Query* query = analyse(gone);
  require_reads(query, "gone", "delete_statement of the job");
  refuse_foreign_target(reinterpret_cast<Node*>(query), nullptr);
  explain(gone);
}

void set_for_now(const char* name, const char* value) {
  set_config_option(name, value, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

}  // namespace

}  // namespace conveyor::migrate

CONVEYOR_FUNCTION(analyse_job) {
  using namespace conveyor;
  using namespace conveyor::migrate;
  if (PG_ARGISNULL(kSource))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a job needs a source"),
                    errhint("Give source => 'schema.table'.")));
  if (PG_ARGISNULL(kStatement) == PG_ARGISNULL(kCall))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a job has either a statement or a call"),
                    errhint("Give statement => $$INSERT INTO ... SELECT ... FROM batch$$ or call => "
                            "'schema.function(bigint, bigint)'.")));
  TupleDesc shape;
  if (get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE) elog(ERROR, "analyse_job must return a row");

  Job* job = static_cast<Job*>(palloc0(sizeof(Job)));
  Jsonb* options = PG_ARGISNULL(kOptions) ? nullptr : PG_GETARG_JSONB_P(kOptions);
  job->source = PG_GETARG_OID(kSource);
  require_source(job->source);
  LockRelationOid(job->source, AccessShareLock);
  job->source_name = relation_name(job->source);
  job->statement = PG_ARGISNULL(kStatement) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(kStatement));
  job->call = PG_ARGISNULL(kCall) ? InvalidOid : PG_GETARG_OID(kCall);
  job->condition = const_cast<char*>(option(options, "where"));
  job->setup = const_cast<char*>(option(options, "setup"));
  int given = 0;
  char** columns = PG_ARGISNULL(kKey) ? nullptr : key_arguments(fcinfo, kKey, &given);
  find_key(job, columns, given);

  const char* delete_statement = option(options, "delete_statement");
  if (job->statement != nullptr) parse_statement(job->statement, "statement of the job", "batch");
  if (delete_statement != nullptr) parse_statement(delete_statement, "delete_statement of the job", "gone");
  if (job->condition != nullptr) require_expression(job->condition, "option \"where\"");
  if (OidIsValid(job->call)) require_call(job);

  List* targets = NIL;
  int level = NewGUCNestLevel();
  if (!PG_ARGISNULL(kSearchPath))
    set_for_now("search_path", with_temporary_last(text_to_cstring(PG_GETARG_TEXT_PP(kSearchPath))));
  undone([&] {
    if (job->setup != nullptr) run(job->setup, Parameters());
    check_statements(job, delete_statement, &targets);
  });
  AtEOXact_GUC(true, level);

  Datum values[3];
  bool nulls[3] = {};
  values[0] = key_names(job);
  values[1] = key_type_array(job);
  values[2] = oid_array(targets);
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls)));
}
