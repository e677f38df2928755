#include "decide/log_text.hpp"

#include <gtest/gtest.h>

namespace conveyor {

TEST(LogText, LeavesOneWordAsItIs) {
  EXPECT_EQ(log_text("orders_to_search"), "orders_to_search");
  EXPECT_EQ(log_text("Aufträge"), "Aufträge");
}

TEST(LogText, QuotesWhatAReaderWouldTakeForSeveralValues) {
  EXPECT_EQ(log_text("two words"), "\"two words\"");
  EXPECT_EQ(log_text("level=info"), "\"level=info\"");
  EXPECT_EQ(log_text(""), "\"\"");
}

TEST(LogText, EscapesQuotesAndBackslashes) {
  EXPECT_EQ(log_text("role \"a\\b\" is missing"), "\"role \\\"a\\\\b\\\" is missing\"");
}

TEST(LogText, KeepsAValueOnOneLine) {
  EXPECT_EQ(log_text("refused\n\tIs the server running?"), "\"refused Is the server running?\"");
  EXPECT_EQ(log_text("a\r\nlevel=error"), "\"a level=error\"");
}

}  // namespace conveyor
