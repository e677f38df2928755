#include "compat.hpp"

extern "C" {
#include "access/xact.h"
}

// For procedures that commit: inside a transaction block they could only fail, and with an error that helps nobody.
CONVEYOR_FUNCTION(in_transaction_block) { PG_RETURN_BOOL(IsTransactionBlock()); }
