# pg_conveyor: the extension (PGXS), the agent (CMake), and everything a person types. `make help` lists it.
PG_CONFIG ?= pg_config
PREFIX ?= /usr/local

EXTENSION = extension/pg_conveyor
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" extension/pg_conveyor.control)
MODULE_big = pg_conveyor
OBJS = $(patsubst %.cpp,%.o,$(sort $(wildcard extension/*.cpp extension/*/*.cpp)))
DATA = $(wildcard extension/pg_conveyor--*--*.sql)
DATA_built = extension/pg_conveyor--$(EXTVERSION).sql
EXTRA_CLEAN = extension/pg_conveyor--$(EXTVERSION).sql

PG_CPPFLAGS = -I$(CURDIR)/extension
PG_CXXFLAGS = -std=c++20 -O2 -Wall -Wextra -Werror -Wno-register -Wno-unused-parameter -fvisibility=hidden -fno-strict-aliasing -fwrapv
SHLIB_LINK = -lstdc++
# The bitcode rules do not see PG_CXXFLAGS.
override with_llvm := no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

extension/pg_conveyor--$(EXTVERSION).sql: $(sort $(wildcard sql/*.sql)) extension/pg_conveyor.control
	cat $(sort $(wildcard sql/*.sql)) > $@
