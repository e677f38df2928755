/*
 * Another extension, as a test needs one: runs late_writer.statement behind everything that a transaction does, in the
 * callback before its commit or prepare, and lets no subtransaction end well while late_writer.refuse is on. Callbacks run
 * in the reverse order of their registration, so whoever is loaded before pg_conveyor runs after its flush.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;

void _PG_init(void);

static char *statement = NULL;
static bool refuse = false;

static void
write_late(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE)
		return;
	if (statement == NULL || statement[0] == '\0')
		return;
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "could not run late_writer.statement");
	PopActiveSnapshot();
	SPI_finish();
}

static void
refuse_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_PRE_COMMIT_SUB && refuse)
		ereport(ERROR, errcode(ERRCODE_RAISE_EXCEPTION), errmsg("subtransaction refused"));
}

void
_PG_init(void)
{
	DefineCustomStringVariable("late_writer.statement", "Run before each commit and prepare.", NULL, &statement, "",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("late_writer.refuse", "Fail each subtransaction at its end.", NULL, &refuse, false,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	RegisterXactCallback(write_late, NULL);
	RegisterSubXactCallback(refuse_subtransaction, NULL);
}
