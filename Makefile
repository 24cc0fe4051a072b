# Descent: `make run` serves, `make test` tests; each installs what it needs first. `make help` lists the rest.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
comma := ,

PACKAGES_BUILD := gcc libc6-dev libmicrohttpd-dev libjansson-dev libsqlite3-dev libsodium-dev libopenblas-dev zlib1g-dev
PACKAGES_TEST  := $(PACKAGES_BUILD) libcmocka-dev
PACKAGES_CHECK := $(PACKAGES_TEST) clang-format cppcheck
PACKAGES_FUZZ  := $(PACKAGES_BUILD) clang libclang-rt-14-dev
PACKAGES_EXAMPLES := $(PACKAGES_BUILD) python3 curl
PACKAGES_DEMO := $(PACKAGES_BUILD) python3 python3-numpy
PACKAGES_CLIENTS := $(PACKAGES_BUILD) g++ libcurl4-openssl-dev python3 python3-numpy
PACKAGES_GOLDEN := python3-torch python3-numpy
PACKAGES_BENCH := $(PACKAGES_TEST) python3-torch python3-numpy nginx-light

CC       := gcc
BUILD    := build
CFLAGS   := -std=c11 -O2 -g -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wvla -Wwrite-strings -Wformat=2 -Werror -fno-math-errno -fno-trapping-math -ffp-contract=off $(EXTRA_CFLAGS)
CPPFLAGS := -D_GNU_SOURCE -I.
LDFLAGS  := $(EXTRA_LDFLAGS)
LDLIBS   := -lmicrohttpd -ljansson -lsqlite3 -lsodium -lopenblas -lz -lpthread -lm

# One short line for each file, or, with V=1, the whole command.
Q   := $(if $(filter 1,$(V)),,@)
say  = $(if $(Q),@echo "$(1) $(2)")

# --- what is built ------------------------------------------------------------------------------------------

# Steps are compiled once for each instruction set; the rest of the core once.
ARCH         := $(shell uname -m)
KERNEL_ISAS  := plain $(if $(filter x86_64,$(ARCH)),v3 v4)
FLAGS_plain  := -DDSC_KERNEL_PLAIN
FLAGS_v3     := -DDSC_KERNEL_V3 -march=x86-64-v3 -O3
FLAGS_double := -DDSC_KERNEL_DOUBLE -DDSC_REAL=double
FLAGS_v4     := -DDSC_KERNEL_V4 -march=x86-64-v4 -mprefer-vector-width=512 -O3

KERNEL_SOURCES := core/lstm_kernel.c core/lstm.c core/rule.c
CORE_SOURCES   := $(filter-out $(KERNEL_SOURCES),$(wildcard core/*.c))
SERVER_SOURCES := $(filter-out server/main.c,$(wildcard server/*.c))
UNIT_SOURCES   := $(wildcard tests/unit/test_*.c tests/laws/test_*.c tests/golden/test_*.c)
HTTP_SOURCES   := $(wildcard tests/http/test_*.c)

CORE_OBJECTS   := $(CORE_SOURCES:%.c=$(BUILD)/%.o) $(foreach isa,$(KERNEL_ISAS),$(KERNEL_SOURCES:%.c=$(BUILD)/%_$(isa).o))
EMBED_OBJECT   := $(BUILD)/migrations/embedded.o
SERVER_OBJECTS := $(SERVER_SOURCES:%.c=$(BUILD)/%.o) $(EMBED_OBJECT)
SUPPORT_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
UNIT_TESTS     := $(UNIT_SOURCES:%.c=$(BUILD)/%)
HTTP_TESTS     := $(HTTP_SOURCES:%.c=$(BUILD)/%)
DOUBLE_TESTS   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/double/*.c))
CRASH_TESTS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/crash/*.c))
COVERAGE_TEST  := $(BUILD)/tests/coverage/test_coverage

# --- the two commands ---------------------------------------------------------------------------------------

.PHONY: all run test help
all: deps-build ## install what is needed and build build/descent
	@$(MAKE) --no-print-directory -j$$(nproc) program

run: all ## install, build, create ./.descent and serve on 127.0.0.1:8080 (LISTEN=, DATA= change that)
	$(BUILD)/descent serve --listen $(or $(LISTEN),127.0.0.1:8080) --data $(or $(DATA),.descent)

test: deps-test ## install, build and run every test
	@$(MAKE) --no-print-directory -j$$(nproc) program tests
	@$(MAKE) --no-print-directory run-tests

help: ## print this
	@grep -hE '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sort | awk -F ':.*## ' '{ printf "%-14s %s\n", $$1, $$2 }'
	@echo; echo "V=1 shows whole commands, BUILD=DIR builds elsewhere, CC=clang with another compiler."

# --- what must be installed ---------------------------------------------------------------------------------

# Asks dpkg first, so that a machine which has everything needs neither root nor a network.
define install
	@command -v dpkg-query >/dev/null || { echo "no Debian: this needs what is called there $(1)"; exit 0; }; \
	missing=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	[ -n "$$missing" ] || exit 0; \
	if [ $$(id -u) = 0 ]; then sudo=; elif command -v sudo >/dev/null; then sudo=sudo; \
	else echo "missing; as root: apt-get install --no-install-recommends" $$missing; exit 1; fi; \
	echo "installing" $$missing; \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 $$missing >/dev/null
endef

.PHONY: deps-build deps-test deps-check deps-fuzz deps-examples deps-bench deps-demo
deps-build: ; $(call install,$(PACKAGES_BUILD))
deps-test: ; $(call install,$(PACKAGES_TEST))
deps-check: ; $(call install,$(PACKAGES_CHECK))
deps-fuzz: ; $(call install,$(PACKAGES_FUZZ))
deps-examples: ; $(call install,$(PACKAGES_EXAMPLES))
deps-bench: ; $(call install,$(PACKAGES_BENCH))
deps-demo: ; $(call install,$(PACKAGES_DEMO))

# --- rules --------------------------------------------------------------------------------------------------

.PHONY: program
program: $(BUILD)/descent ; @:
$(BUILD)/descent: $(BUILD)/server/main.o $(SERVER_OBJECTS) $(BUILD)/libdescent.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libdescent.a: $(CORE_OBJECTS)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)ar rcs $@ $^

# core/x.c -> core/x_plain.o, core/x_v3.o, ...
define kernel_rule
$(KERNEL_ISAS:%=$(BUILD)/$(1)_%.o): $(BUILD)/$(1)_%.o: $(1).c
	@mkdir -p $$(@D)
	$$(call say,CC,$$< ($$*))
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $$(FLAGS_$$*) -MMD -MP -c -o $$@ $$<
endef
$(foreach source,$(KERNEL_SOURCES:%.c=%),$(eval $(call kernel_rule,$(source))))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Migrations and the optimizers that ship (and later pages) become C arrays.
$(BUILD)/migrations/embed: migrations/embed.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $<

EMBEDDED := $(sort $(wildcard migrations/*/*.sql)) $(sort $(wildcard core/pretrained/*.safetensors))
$(BUILD)/migrations/embedded.c: $(BUILD)/migrations/embed $(EMBEDDED) $(wildcard core/pretrained/*.txt)
	$(call say,EMBED,$@)
	$(Q)$< $(EMBEDDED) > $@.part && mv $@.part $@

$(EMBED_OBJECT): $(BUILD)/migrations/embedded.c
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-overlength-strings -c -o $@ $<

.PHONY: tests run-tests
tests: $(UNIT_TESTS) $(DOUBLE_TESTS) $(HTTP_TESTS) $(CRASH_TESTS) $(COVERAGE_TEST) ; @:

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(SUPPORT_OBJECTS) $(SERVER_OBJECTS) $(BUILD)/libdescent.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

# What calculates in dsc_real, compiled for double: a float has too few digits to check gradients.
DOUBLE_SOURCES := $(addprefix core/,lstm.c lstm_train.c trainable.c unroll.c gradcheck.c mat.c frame.c minibatch.c) $(wildcard core/problem*.c core/tape*.c core/dataset*.c)
DOUBLE_OBJECTS := $(DOUBLE_SOURCES:%.c=$(BUILD)/double/%.o)
$(BUILD)/double/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$< (double))
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(FLAGS_double) -MMD -MP -c -o $@ $<
$(BUILD)/tests/double/%: $(BUILD)/double/tests/double/%.o $(DOUBLE_OBJECTS) $(BUILD)/libdescent.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka -lopenblas -lz -lm

$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(SERVER_OBJECTS) $(BUILD)/libdescent.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What tests/support/direct.c stands in for.
DIRECT_WRAP := $(patsubst %,-Wl$(comma)--wrap=%,http_header http_query http_query_each http_reply pool_submit pool_follow pool_threads pool_waiting)
$(BUILD)/tests/fuzz/fuzz_api $(BUILD)/tests/http/test_storage: LDFLAGS += $(DIRECT_WRAP)
$(BUILD)/tests/fuzz/fuzz_api: $(BUILD)/tests/support/direct.o $(BUILD)/tests/support/disk.o

# The last one asks whether every declared reply was seen; a program that speaks no HTTP leaves an empty record.
run-tests:
	@for t in $(UNIT_TESTS) $(DOUBLE_TESTS) $(HTTP_TESTS) $(CRASH_TESTS); do rm -f $$t.seen; \
	  $$t && touch $$t.seen || { echo "FAILED: $$t"; exit 1; }; done
	@$(COVERAGE_TEST) $(HTTP_TESTS) || { echo "FAILED: $(COVERAGE_TEST)"; exit 1; }

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
.PHONY: sanitize
sanitize: deps-test ## every test under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=$(BUILD)/asan EXTRA_CFLAGS="$(SANITIZE)" EXTRA_LDFLAGS="$(SANITIZE)" $(BUILD)/asan/descent tests
	@DESCENT_CRASH_KILLS=40 DESCENT_BIN=$(BUILD)/asan/descent $(MAKE) --no-print-directory BUILD=$(BUILD)/asan run-tests

# Only what has threads, and fewer kills. The libraries are not instrumented, but their locks and atomics are seen well
# enough that nothing has to be suppressed. A child server's reports go to files, since its stderr goes nowhere.
TSAN_UNIT := buf pool log http groups peers session registry store models store store_journal stream watch job
TSAN_TESTS := $(wildcard $(TSAN_UNIT:%=tests/unit/test_%.c))
.PHONY: tsan
tsan: deps-test ## the tests that have threads under ThreadSanitizer
	@rm -f $(BUILD)/tsan/report.*
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=$(BUILD)/tsan UNIT_SOURCES="$(TSAN_TESTS)" EXTRA_CFLAGS="-fsanitize=thread" \
	  EXTRA_LDFLAGS="-fsanitize=thread" $(BUILD)/tsan/descent tests
	@TSAN_OPTIONS="halt_on_error=1 log_path=$(CURDIR)/$(BUILD)/tsan/report" DESCENT_CRASH_KILLS=10 DESCENT_BIN=$(BUILD)/tsan/descent \
	  $(MAKE) --no-print-directory BUILD=$(BUILD)/tsan UNIT_SOURCES="$(TSAN_TESTS)" run-tests; \
	  status=$$?; cat $(BUILD)/tsan/report.* 2>/dev/null && exit 1; exit $$status

# Each tests/fuzz/fuzz_<target>.c runs over tests/fuzz/corpus/<target>, then on what libFuzzer makes of it. What is
# new goes to build/fuzz/corpus/<target>, a failing input to build/fuzz/<target>-crash-...: keep a minimised copy.
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_FLAGS   := -fsanitize=address,undefined -fno-sanitize-recover=all
# Leaks are looked for at the end: once an input would cost five times the rest.
FUZZ_LIMITS  := -detect_leaks=0 -max_len=16384 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
SMOKE_SECONDS := 8

.PHONY: fuzz fuzz-smoke fuzz-build
fuzz-build: deps-fuzz
	@$(MAKE) --no-print-directory -j$$(nproc) CC=clang BUILD=$(BUILD)/fuzz EXTRA_CFLAGS="-Wno-string-concatenation -fsanitize=fuzzer-no-link $(FUZZ_FLAGS)" \
	  EXTRA_LDFLAGS="-fsanitize=fuzzer $(FUZZ_FLAGS)" $(FUZZ_TARGETS:%=$(BUILD)/fuzz/tests/fuzz/fuzz_%)

# The seed is fixed: the same commit gives the same answer.
fuzz-smoke: fuzz-build ## every fuzz target over its corpus and a few seconds more
	@for t in $(FUZZ_TARGETS); do $(call fuzz_one,$$t,-seed=1 -max_total_time=$(SMOKE_SECONDS)); done

fuzz: fuzz-build ## fuzz one target for long: TARGET=vector SECONDS=600
	@test -f tests/fuzz/fuzz_$(TARGET).c || { echo "TARGET is one of: $(FUZZ_TARGETS)"; exit 2; }
	@$(call fuzz_one,$(TARGET),-max_total_time=$(or $(SECONDS),60))

define fuzz_one
mkdir -p $(BUILD)/fuzz/corpus/$(1) tests/fuzz/corpus/$(1) && \
  $(BUILD)/fuzz/tests/fuzz/fuzz_$(1) $(FUZZ_LIMITS) $(2) -artifact_prefix=$(BUILD)/fuzz/$(1)- \
    $(BUILD)/fuzz/corpus/$(1) tests/fuzz/corpus/$(1) >$(BUILD)/fuzz/$(1).log 2>&1 || \
  { tail -60 $(BUILD)/fuzz/$(1).log; echo "FAILED: fuzz_$(1)"; exit 1; }; \
  echo "fuzz_$(1): $$(sed -n 's/^stat::number_of_executed_units: *//p' $(BUILD)/fuzz/$(1).log) inputs, $$(ls tests/fuzz/corpus/$(1) | wc -l) kept"
endef

.PHONY: examples
examples: all deps-examples ## what README.md says to paste, and clients/examples, against a server of their own
	@python3 clients/examples/check.py $(BUILD)/descent

# Each bench_<what>.c prints a table of two sides measured in turn. Goals are no tests: nothing fails.
BENCH_SUPPORT := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/bench/bench_%.c,$(wildcard tests/bench/*.c)))
BENCHES       := $(patsubst tests/bench/bench_%.c,%,$(wildcard tests/bench/bench_*.c))
BENCH_RUN      = OPENBLAS_NUM_THREADS=1 nice -n $(or $(NICE),0) $(BUILD)/tests/bench/bench_$(1)

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(BENCH_SUPPORT) $(SUPPORT_OBJECTS) $(SERVER_OBJECTS) $(BUILD)/libdescent.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

.PHONY: benches bench $(BENCHES:%=bench-%)
benches: $(BENCHES:%=$(BUILD)/tests/bench/bench_%)
bench: deps-bench ## every benchmark; one of them: make bench-kernel (NICE=-5 for a busy machine)
	@$(MAKE) --no-print-directory -j$$(nproc) $(BUILD)/descent benches
	@for b in $(BENCHES); do $(call BENCH_RUN,$$b) || exit 1; done
$(BENCHES:%=bench-%): bench-%: deps-bench
	@$(MAKE) --no-print-directory -j$$(nproc) $(BUILD)/descent $(BUILD)/tests/bench/bench_$*
	@$(call BENCH_RUN,$*)

# Debian's Python, for its NumPy. DATA_DIR is where MNIST is; without it the digits are generated figures.
DATA_DIR ?= $(wildcard ../shared/data)
DEMO      = /usr/bin/python3 clients/demo/demo.py --serve $(BUILD)/descent $(if $(OPTIMIZER),--optimizer $(OPTIMIZER))

.PHONY: demo demo-test
demo: all deps-demo ## a learned optimizer against Adam over HTTP, in a minute (DATA_DIR=, OPTIMIZER=)
	@$(DEMO) $(if $(DATA_DIR),--data-dir $(DATA_DIR)) --svg $(BUILD)/demo.svg

demo-test: all deps-demo ## the tests of the demo, and a short one
	@/usr/bin/python3 clients/demo/test_demo.py
	@$(DEMO) --quick

# Python, C and C++ always; of the other languages those whose toolchain is here.
.PHONY: test-clients
test-clients: all ## every client in clients/ through the conformance cases, against a real server
	$(call install,$(PACKAGES_CLIENTS))
	@clients/conformance/run.py --server $(BUILD)/descent --build $(BUILD)/clients

# Each core/pretrained/<name>.safetensors is made by the spec beside it; the same bits on any number of threads and on
# every processor with fused multiply-add. <name>.eval.json measures it.
.PHONY: pretrained
pretrained: all ## train the optimizers that ship anew (NAME=lstm-quadratic: that one; minutes; DATA_DIR=)
	@data="$(if $(DATA_DIR),--data-dir $(DATA_DIR))"; \
	for spec in $(filter-out %.eval.json,$(wildcard core/pretrained/$(or $(NAME),*).json)); do \
	  nice $(BUILD)/descent train $$spec --out $${spec%.json}.safetensors $$data && \
	  $(MAKE) --no-print-directory $(BUILD)/descent && \
	  $(BUILD)/descent eval $${spec%.json}.eval.json --table $$data || exit 1; done

.PHONY: golden
golden: ## make tests/golden/*.golden anew with PyTorch (they are committed; needs 2 GB of packages)
	$(call install,$(PACKAGES_GOLDEN))
	/usr/bin/python3 tests/golden/make_golden.py

.PHONY: openapi
openapi: $(BUILD)/descent ## write clients/openapi.json anew after a change of the API
	$(BUILD)/descent openapi > clients/openapi.json

.PHONY: format format-check clean
format: deps-check ## lay out the code with clang-format
	clang-format -i $$(git ls-files '*.c' '*.h')
format-check: deps-check ## say what clang-format would change
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')

# A file includes headers of its own floor or lower, and each foreign header has one door.
.PHONY: floors cppcheck
floors: ## check who includes what
	@! grep -n '#include "core/' server/*.[ch] | grep -v 'core/descent.h'
	@! grep -n '#include "\(\.\./\)*server/' core/*.[ch]
	@! grep -ln '<microhttpd.h>' core/*.[ch] server/*.[ch] | grep -vE '^server/(http|stream)\.c$$'
	@! grep -ln '#include <cblas.h>' core/*.[ch] server/*.[ch] | grep -v '^core/mat.c$$'
	@! grep -ln '#include <zlib.h>' core/*.[ch] server/*.[ch] | grep -v '^core/dataset[a-z_]*\.c$$'
	@! grep -ln '<sqlite3.h>' core/*.[ch] server/*.[ch] | grep -v '^server/store[a-z_]*\.[ch]$$'
	@! grep -ln '<jansson.h>' core/*.[ch] server/*.[ch] | grep -vE '^server/(field[a-z_]*|jsontext|safetensors|openapi)\.[ch]$$'
	@echo "floors: in order"

cppcheck: deps-check ## static analysis
	cppcheck --quiet --std=c11 --enable=warning,portability --error-exitcode=1 --inline-suppr \
	  --suppress=missingIncludeSystem -D_GNU_SOURCE -DDSC_KERNEL_PLAIN -I. core server migrations

# --- installed ----------------------------------------------------------------------------------------------

PREFIX ?= /usr/local
UNITS  := $(PREFIX)/lib/systemd/system

.PHONY: install install-test runtime-packages
install: all ## copy program, manual page and systemd unit to PREFIX=/usr/local (below DESTDIR=)
	install -D -s -m 755 $(BUILD)/descent $(DESTDIR)$(PREFIX)/bin/descent
	install -D -m 644 server/descent.1 $(DESTDIR)$(PREFIX)/share/man/man1/descent.1
	@mkdir -p $(DESTDIR)$(UNITS)
	sed 's|@BINDIR@|$(PREFIX)/bin|' server/descent.service > $(DESTDIR)$(UNITS)/descent.service

# What is installed runs, its manual page is without warnings, and every package it needs is known.
install-test: ## make install below build/, and a look at what came of it
	@$(MAKE) --no-print-directory install DESTDIR=$(BUILD)/installed PREFIX=/usr
	@test "$$($(BUILD)/installed/usr/bin/descent version)" = "$$($(BUILD)/descent version)"
	@! grep -n '@' $(BUILD)/installed/usr/lib/systemd/system/descent.service | grep -v SystemCall
	@for c in $$($(BUILD)/descent --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do \
	  grep -q "^.B $$c" server/descent.1 || { echo "server/descent.1 has no $$c"; exit 1; }; done
	@dpkg-query -W >/dev/null $$($(MAKE) -s --no-print-directory runtime-packages)
	@echo "installed: complete"

# By what the program is linked with: no second list.
runtime-packages: all ## print the Debian packages that the program needs to run
	@objdump -p $(BUILD)/descent | awk '$$1 == "NEEDED" { print "*/$(shell $(CC) -print-multiarch)/*" $$2 }' | \
	  xargs dpkg-query -S | cut -d: -f1 | sort -u

clean: ## remove what was built
	rm -rf $(BUILD)

.PRECIOUS: $(BUILD)/%.o
.SECONDARY:
-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d $(BUILD)/*/*/*/*.d)
