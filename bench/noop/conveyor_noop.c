/*
 * A row-level AFTER trigger that does nothing: what calling any trigger at all costs, queueing of the event and
 * fetching of the row included. Everything that a capture adds to this is the capture's own cost.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(conveyor_noop);

Datum
conveyor_noop(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("conveyor_noop must be called as a trigger")));
	PG_RETURN_POINTER(NULL);
}
