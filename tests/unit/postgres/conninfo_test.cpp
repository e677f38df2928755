#include "postgres/conninfo.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace conveyor {

TEST(Conninfo, NamesTheDatabaseOfAConnectionString) {
  EXPECT_EQ(database_of("host=db password=secret dbname=shop"), "shop");
  EXPECT_EQ(database_of("postgresql://ship:secret@db:5432/shop?sslmode=require"), "shop");
  EXPECT_EQ(database_of("shop"), "shop");
}

TEST(Conninfo, NamesTheServiceWhereTheDatabaseIsInItsFile) { EXPECT_EQ(database_of("service=warehouse"), "warehouse"); }

TEST(Conninfo, GoesByTheEnvironmentWhereTheStringSaysNothing) {
  setenv("PGDATABASE", "from_environment", 1);
  EXPECT_EQ(database_of(""), "from_environment");
  EXPECT_EQ(database_of("host=db"), "from_environment");
  unsetenv("PGDATABASE");
}

}  // namespace conveyor
