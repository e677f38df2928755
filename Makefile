# pg_conveyor: the extension (PGXS), the agent (CMake), and everything a person types. `make help` lists it.
PG_CONFIG ?= pg_config
PREFIX ?= /usr/local

# These goals need nothing but make: they install the rest.
house = help deps demo demo-stop check bench lint format tidy
ifneq (,$(filter $(house),$(MAKECMDGOALS)))

.PHONY: $(house)
# Seconds in what is printed count from here, over all scripts (tools/common.sh).
export CONVEYOR_BEGAN := $(shell date +%s)
help:
	@echo 'make              build the extension and the agent'
	@echo 'make install      put the extension into PostgreSQL (PG_CONFIG=…) and the agent into PREFIX/bin (PREFIX=/usr/local)'
	@echo 'make installcheck run the SQL tests against the running server that libpq finds (PGHOST, PGPORT, …)'
	@echo 'make clean        remove what was built; AGENT=no leaves the agent out of all of these'
	@echo
	@echo 'make demo         a shop, a search server and a delivery between them, under build/demo'
	@echo 'make demo-stop    end it'
	@echo 'make check        every test there is'
	@echo 'make bench        the figures of docs/results.md'
	@echo
	@echo 'make deps         install the Debian packages that all of this needs'
	@echo 'make lint         check formatting and scripts; make format puts the C++ in order; make tidy runs clang-tidy'

deps: ; @tools/deps.sh
demo: deps ; @demo/run
demo-stop: ; @demo/stop
check: deps ; @tests/run
bench: deps ; @bench/run
lint: ; @tools/lint.sh
format: ; @tools/lint.sh --fix
tidy: ; @tools/lint.sh --tidy

else

EXTENSION = extension/pg_conveyor
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" extension/pg_conveyor.control)
MODULE_big = pg_conveyor
OBJS = $(patsubst %.cpp,%.o,$(sort $(wildcard extension/*.cpp extension/*/*.cpp)))
DATA = $(wildcard extension/pg_conveyor--*--*.sql)
DATA_built = extension/pg_conveyor--$(EXTVERSION).sql
EXTRA_CLEAN = $(OBJS:.o=.d)
# tests/regress: `setup` first. The server needs wal_level = logical and max_prepared_transactions > 0.
REGRESS = setup types images statements savepoints spill truncate partitions overlap columns renames owners prepared late_writer capture_error pending publication ring overflow settings audit view_changes table_swap \
  version_snapshot analyse_feed analyse_watch derive_joins derive_subselects derive_refusals explain_feed fetch_keys fetch_range fetch_owner fetch_conditions verification window_keys \
  follow_window follow_slice follow_recopy verify_job finish_migration \
  examine_plan examine_function examine_hooks migrate_input migrate_keys migrate_walk migrate_failures migrate_run examine_job examine_history
REGRESS_OPTS = --inputdir=tests/regress
ISOLATION = rotation emptying marks version out_of_order watch_change growth lease_fence lease_takeover window_order window_parent window_resolution window_snapshot window_truncate \
  job_lock_waiters migration_control job_claim follow_lost_update follow_slice follow_finish verify_repair
ISOLATION_OPTS = --inputdir=tests/isolation --load-extension=pg_conveyor

# -isystem: PostgreSQL's own headers are not ours to warn about.
PG_CPPFLAGS = -I$(CURDIR)/extension -isystem $(shell $(PG_CONFIG) --includedir-server)
# -MMD: PostgreSQL tracks headers only where it was configured to.
PG_CXXFLAGS = -std=c++20 -MMD -MP -O2 -Wall -Wextra -Werror -Wno-register -Wno-unused-parameter -fvisibility=hidden -fno-strict-aliasing -fwrapv
SHLIB_LINK = -lstdc++
# The bitcode rules do not see PG_CXXFLAGS.
override with_llvm := no

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq (,$(wildcard $(PGXS)))
all install installcheck clean:
	@echo "make: '$(PG_CONFIG)' leads to no PostgreSQL that extensions can be built for: run 'make deps', or give PG_CONFIG=…" >&2
	@exit 1
else
include $(PGXS)
-include $(OBJS:.o=.d)

# The agent; cmake alone builds it as well. AGENT=no leaves it out.
AGENT ?= yes
ifeq ($(AGENT),yes)
all: agent
install: install-agent
clean: clean-agent
endif
endif

extension/pg_conveyor--$(EXTVERSION).sql: $(sort $(wildcard sql/*.sql)) extension/pg_conveyor.control
	cat $(sort $(wildcard sql/*.sql)) > $@

# A module that a test loads; only the PostgreSQL that is tested gets it.
.PHONY: test-modules clean-test-modules
test-modules:
	$(MAKE) -C tests/modules/late_writer PG_CONFIG='$(PG_CONFIG)' install
clean-test-modules:
	$(MAKE) -C tests/modules/late_writer PG_CONFIG='$(PG_CONFIG)' clean
installcheck: test-modules
clean: clean-test-modules

.PHONY: agent install-agent clean-agent
agent:
	cmake -S . -B build/agent -G Ninja -DCONVEYOR_TESTS=OFF
	cmake --build build/agent
install-agent: agent
	cmake --install build/agent --prefix '$(PREFIX)'
clean-agent:
	rm -rf build/agent

endif
