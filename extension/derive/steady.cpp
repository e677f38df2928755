#include "derive/steady.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>

extern "C" {
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
}

namespace conveyor {

namespace {

// STABLE functions of pg_catalog that depend on pinned settings, encodings or the definition of a type alone. In order.
constexpr std::string_view kPinned[] = {
    "anytextcat",
    "array_in",
    "array_out",
    "array_to_json",
    "array_to_string",
    "cash_in",
    "cash_out",
    "concat",
    "concat_ws",
    "convert",
    "convert_from",
    "convert_to",
    "date",
    "date_cmp_timestamptz",
    "date_eq_timestamptz",
    "date_ge_timestamptz",
    "date_gt_timestamptz",
    "date_in",
    "date_le_timestamptz",
    "date_lt_timestamptz",
    "date_ne_timestamptz",
    "date_out",
    "date_part",
    "date_trunc",
    "domain_in",
    "enum_first",
    "enum_in",
    "enum_last",
    "enum_out",
    "enum_range",
    "extract",
    "format",
    "generate_series",
    "in_range",
    "interval_in",
    "interval_out",
    "interval_pl_timestamptz",
    "length",
    "make_timestamptz",
    "money",
    "multirange_in",
    "multirange_out",
    "numeric",
    "overlaps",
    "quote_literal",
    "quote_nullable",
    "range_in",
    "range_out",
    "record_in",
    "record_out",
    "row_to_json",
    "textanycat",
    "time",
    "time_in",
    "timestamp",
    "timestamp_cmp_timestamptz",
    "timestamp_eq_timestamptz",
    "timestamp_ge_timestamptz",
    "timestamp_gt_timestamptz",
    "timestamp_in",
    "timestamp_le_timestamptz",
    "timestamp_lt_timestamptz",
    "timestamp_ne_timestamptz",
    "timestamp_out",
    "timestamptz",
    "timestamptz_cmp_date",
    "timestamptz_cmp_timestamp",
    "timestamptz_eq_date",
    "timestamptz_eq_timestamp",
    "timestamptz_ge_date",
    "timestamptz_ge_timestamp",
    "timestamptz_gt_date",
    "timestamptz_gt_timestamp",
    "timestamptz_in",
    "timestamptz_le_date",
    "timestamptz_le_timestamp",
    "timestamptz_lt_date",
    "timestamptz_lt_timestamp",
    "timestamptz_mi_interval",
    "timestamptz_ne_date",
    "timestamptz_ne_timestamp",
    "timestamptz_out",
    "timestamptz_pl_interval",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "xml_in",
    "xml_is_well_formed",
    "xml_out",
};
static_assert(std::is_sorted(std::begin(kPinned), std::end(kPinned)));

// Of these the reason can be told better than by STABLE or VOLATILE.
constexpr std::string_view kClock[] = {"age",       "clock_timestamp",      "now", "statement_timestamp",
                                       "timeofday", "transaction_timestamp"};

bool depends_on_pinned(std::string_view name) {
  if (name.starts_with("json")) return name.find("tsvector") == std::string_view::npos;
  return std::binary_search(std::begin(kPinned), std::end(kPinned), name);
}

const char* reason_of(Form_pg_proc form) {
  if (form->oid < FirstNormalObjectId &&
      std::find(std::begin(kClock), std::end(kClock), NameStr(form->proname)) != std::end(kClock))
    return "follows the clock";
  return form->provolatile == PROVOLATILE_STABLE ? "is STABLE, so its result may change while no row does"
                                                 : "is VOLATILE, so its result may change while no row does";
}

// The built-in ones have a number that no user's function can have, whatever schema it is put into.
bool is_steady(Form_pg_proc form) {
  if (form->provolatile == PROVOLATILE_IMMUTABLE) return true;
  return form->provolatile == PROVOLATILE_STABLE && form->oid < FirstNormalObjectId &&
         depends_on_pinned(NameStr(form->proname));
}

bool check(Oid function, Unsteady* found) {
  if (!OidIsValid(function)) return false;
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", function);
  auto form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  bool steady = is_steady(form);
  if (!steady) *found = {function, format_procedure(function), reason_of(form)};
  ReleaseSysCache(tuple);
  return !steady;
}

// A user's aggregate says nothing itself: the functions that it is made of do.
bool check_aggregate(Oid aggregate, Unsteady* found) {
  if (check(aggregate, found)) return true;
  if (aggregate < FirstNormalObjectId) return false;
  HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
  if (!HeapTupleIsValid(tuple)) return false;
  auto form = reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(tuple));
  bool bad = check(form->aggtransfn, found) || check(form->aggfinalfn, found) || check(form->aggmtransfn, found) ||
             check(form->aggminvtransfn, found) || check(form->aggmfinalfn, found);
  ReleaseSysCache(tuple);
  return bad;
}

bool check_callback(Oid function, void* context) { return check(function, static_cast<Unsteady*>(context)); }

bool check_word(const SQLValueFunction* word, Unsteady* found) {
  constexpr const char* kClockReason = "follows the clock";
  constexpr const char* kSessionReason = "depends on who asks";
  switch (word->op) {
    case SVFOP_CURRENT_DATE:
      *found = {InvalidOid, "CURRENT_DATE", kClockReason};
      break;
    case SVFOP_CURRENT_TIME:
    case SVFOP_CURRENT_TIME_N:
      *found = {InvalidOid, "CURRENT_TIME", kClockReason};
      break;
    case SVFOP_CURRENT_TIMESTAMP:
    case SVFOP_CURRENT_TIMESTAMP_N:
      *found = {InvalidOid, "CURRENT_TIMESTAMP", kClockReason};
      break;
    case SVFOP_LOCALTIME:
    case SVFOP_LOCALTIME_N:
      *found = {InvalidOid, "LOCALTIME", kClockReason};
      break;
    case SVFOP_LOCALTIMESTAMP:
    case SVFOP_LOCALTIMESTAMP_N:
      *found = {InvalidOid, "LOCALTIMESTAMP", kClockReason};
      break;
    case SVFOP_SESSION_USER:
      *found = {InvalidOid, "SESSION_USER", kSessionReason};
      break;
    case SVFOP_CURRENT_CATALOG:
      *found = {InvalidOid, "CURRENT_CATALOG", kSessionReason};
      break;
    case SVFOP_CURRENT_SCHEMA:
      *found = {InvalidOid, "CURRENT_SCHEMA", kSessionReason};
      break;
    default:
      *found = {InvalidOid, "CURRENT_USER", kSessionReason};
      break;
  }
  return true;
}

}  // namespace

bool find_unsteady(Node* node, Unsteady* found) {
  if (node == nullptr) return false;
  if (IsA(node, SQLValueFunction)) return check_word(reinterpret_cast<const SQLValueFunction*>(node), found);
  if (IsA(node, Aggref)) return check_aggregate(reinterpret_cast<const Aggref*>(node)->aggfnoid, found);
  if (IsA(node, WindowFunc) &&
      get_func_prokind(reinterpret_cast<const WindowFunc*>(node)->winfnoid) == PROKIND_AGGREGATE)
    return check_aggregate(reinterpret_cast<const WindowFunc*>(node)->winfnoid, found);
  if (IsA(node, NextValueExpr)) {
    *found = {InvalidOid, "nextval", "is VOLATILE, so its result may change while no row does"};
    return true;
  }
  return check_functions_in_node(node, check_callback, found);
}

}  // namespace conveyor
