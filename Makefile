# make            the program: build/portico
# make demo       installs packages, builds, starts portico, asks every way in (root)
# make check      installs packages, then everything CI runs: builds, unit tests, sanitizers, fuzzers, the walk (root)
# make unit       unit tests (T=test_name for one)
# make asan       unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
# make fuzz       each fuzz target for FUZZ_SECONDS
# make func       bad input, and every kubectl's commands, against roles started by hand (root)
# make walk       the end-to-end test on real containers (root)
# make install    PREFIX=/usr/local
BUILD ?= build
CC ?= gcc
CLANG ?= clang
OPT ?= -O2 -g
SAN ?=
JOBS ?= $(shell nproc)
# V=1 shows the commands
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@)
WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-missing-field-initializers
PKGS = jansson libnghttp2 openssl sqlite3 yaml-0.1 libprotobuf-c libbpf libpcre2-8 zlib libbrotlienc libzstd libcap libseccomp
CFLAGS_ALL = -std=gnu17 -D_GNU_SOURCE $(OPT) $(WARN) $(WERROR) $(SAN) -fstack-protector-strong -fno-strict-aliasing -pthread \
	-Isrc -Ibpf/include -I$(BUILD)/gen $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
LDLIBS_ALL = $(SAN) -pthread $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lwslay -lcrypt -lm $(LDLIBS)

SRC := $(shell find src -name '*.c' ! -path src/main.c)
OBJ := $(SRC:src/%.c=$(BUILD)/%.o)
BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_SKEL := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/gen/%.skel.h)
PROTO := $(shell find src -name '*.proto')
PROTO_C := $(foreach p,$(PROTO),$(BUILD)/gen/$(notdir $(p:.proto=.pb-c.c)))
PROTO_H := $(PROTO_C:.c=.h)
SCHEMA_C := $(BUILD)/gen/schema_tables.c
GEN_OBJ := $(SCHEMA_C:.c=.o) $(PROTO_C:.c=.o)
LIB := $(BUILD)/libportico.a
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
FUZZ := $(patsubst fuzz/%.c,%,$(wildcard fuzz/fuzz_*.c))

.PHONY: all images unit asan check func fuzz fuzzers layers walk demo install clean bpf
.DELETE_ON_ERROR:
.SECONDARY:
all: $(BUILD)/portico

$(BUILD)/portico: $(BUILD)/main.o $(LIB)
	$(call say,LINK)
	$(Q)$(CC) -o $@ $^ $(LDLIBS_ALL)

$(LIB): $(OBJ) $(GEN_OBJ)
	@rm -f $@
	$(call say,AR)
	$(Q)ar rcs $@ $^

$(BUILD)/%.o: src/%.c | $(BPF_SKEL) $(PROTO_H)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -Wno-missing-prototypes -MMD -MP -c -o $@ $<

$(SCHEMA_C): schema/schema.txt schema/enums.txt tools/gen_schema.awk
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)awk -f tools/gen_schema.awk schema/enums.txt schema/schema.txt > $@

define PROTO_RULE
$(BUILD)/gen/$(notdir $(1:.proto=.pb-c.c)) $(BUILD)/gen/$(notdir $(1:.proto=.pb-c.h)) &: $(1)
	@mkdir -p $(BUILD)/gen
	$$(call say,PROTO)
	$$(Q)protoc-c --proto_path=$(dir $(1)) --c_out=$(BUILD)/gen $(1)
endef
$(foreach p,$(PROTO),$(eval $(call PROTO_RULE,$(p))))

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h bpf/include/*.h bpf/lib/*.h)
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Wno-unused-function -Ibpf/include -Ibpf -I/usr/include/$(shell uname -m)-linux-gnu -c -o $@ $<
$(BUILD)/gen/%.skel.h: $(BUILD)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL)
	$(Q)bpftool gen skeleton $< name $(subst .,_,$*) > $@
bpf: $(BPF_SKEL)

# Images are made here, without a registry: static programs packed as OCI layouts.
PAUSE_TAR = $(BUILD)/images/pause.tar
$(PAUSE_TAR): images/pause/pause.c tools/oci_pack.sh
	@mkdir -p $(BUILD)/images/pause
	$(call say,IMAGE)
	$(Q)$(CC) -Os -static -s -o $(BUILD)/images/pause/pause $<
	$(Q)tools/oci_pack.sh $(BUILD)/images/pause registry.k8s.io/pause:portico $@ /pause
$(BUILD)/roles/cli/pause_image.o: src/roles/cli/pause_image.c $(PAUSE_TAR)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -DPAUSE_IMAGE_TAR='"$(PAUSE_TAR)"' -c -o $@ $<

$(BUILD)/images/my-app-%.tar: images/my-app/main.c tools/oci_pack.sh
	@mkdir -p $(BUILD)/images/my-app-$*
	$(call say,IMAGE)
	$(Q)$(CC) -O2 -static -s -pthread -D_GNU_SOURCE -DVERSION='"$*"' -Wall -Wextra -o $(BUILD)/images/my-app-$*/my-app $<
	$(Q)tools/oci_pack.sh $(BUILD)/images/my-app-$* docker.io/library/my-app:$* $@ /my-app
# Debian's static BusyBox, with a link per applet.
$(BUILD)/images/busybox.tar: tools/oci_pack.sh
	@rm -rf $(BUILD)/images/busybox && mkdir -p $(BUILD)/images/busybox/bin $(BUILD)/images/busybox/tmp
	$(call say,IMAGE)
	$(Q)cp $(or $(wildcard /usr/bin/busybox),/bin/busybox) $(BUILD)/images/busybox/bin/busybox
	$(Q)for a in $$($(BUILD)/images/busybox/bin/busybox --list | grep -vx busybox); do ln -sf busybox $(BUILD)/images/busybox/bin/$$a; done
	$(Q)printf '#!/bin/sh\nexec env "$$@"\n' > $(BUILD)/images/busybox/bin/printenv && chmod 755 $(BUILD)/images/busybox/bin/printenv
	$(Q)tools/oci_pack.sh $(BUILD)/images/busybox docker.io/library/busybox:portico $@ sh
IMAGES = $(BUILD)/images/my-app-1.0.0.tar $(BUILD)/images/my-app-1.0.1.tar $(BUILD)/images/busybox.tar
images: $(IMAGES)

# Each unit test is a cmocka program of its own, linked with everything but main().
$(BUILD)/tests/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CC) $(CFLAGS_ALL) -Itests -MMD -MP -o $@ $< $(LIB) $(LDLIBS_ALL) -lcmocka
T ?= $(UNIT)
unit: $(addprefix $(BUILD)/tests/,$(T))
	@fail=0; for t in $^; do $$t || fail=1; done; exit $$fail

asan:
	$(MAKE) -j$(JOBS) BUILD=$(BUILD)/asan SAN="-fsanitize=address,undefined -fno-sanitize-recover=undefined" OPT="-O1 -g" \
	  WERROR= unit

# Tools of the data plane's tests in network namespaces (tests/netns/*.sh; root).
$(BUILD)/netns/%: tests/netns/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -o $@ $< $(LIB) $(LDLIBS_ALL)
$(BUILD)/netns/%: tests/bpf/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -o $@ $< $(LIB) $(LDLIBS_ALL) -lcmocka
netns: $(BUILD)/netns/dp_load $(BUILD)/netns/peer $(BUILD)/netns/nodelocal_run $(BUILD)/netns/resolve $(BUILD)/netns/test_packets \
		$(BUILD)/netns/test_dns_answers $(BUILD)/netns/dns_node
	$(BUILD)/netns/test_packets
	$(BUILD)/netns/test_dns_answers
	@fail=0; for t in tests/netns/test_*.sh; do BUILD=$(BUILD) bash $$t || fail=1; done; exit $$fail

# Fuzz targets: libFuzzer, built by clang with the sanitizers into a folder of their own.
FUZZ_SECONDS ?= 30
$(BUILD)/fuzz/%: fuzz/%.c $(LIB)
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer -o $@ $< $(LIB) $(LDLIBS_ALL)
fuzzers: $(addprefix $(BUILD)/fuzz/,$(FUZZ))
	@printf '%s\n' $^ | xargs -P $(JOBS) -I{} tools/fuzz_one.sh {} $(FUZZ_SECONDS) $(BUILD)
fuzz:
	$(MAKE) -j$(JOBS) BUILD=$(BUILD)/fuzz-build CC=$(CLANG) SAN="-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined" \
	  OPT="-O1 -g" WERROR= fuzzers

layers:
	tools/check_layers.sh src

$(BUILD)/tests/load: tests/e2e/load.c
	@mkdir -p $(@D)
	$(CC) -O2 -Wall -Wextra -pthread -D_GNU_SOURCE -o $@ $<
func: all
	tests/func/all.sh $(BUILD)
walk: all images $(BUILD)/tests/load
	tests/e2e/walk.sh $(BUILD)

demo:
	tools/setup.sh
	$(MAKE) -j$(JOBS) all images
	tools/demo.sh $(BUILD)

check:
	tools/setup.sh --tests
	$(MAKE) -j$(JOBS) WERROR=-Werror all images layers
	$(MAKE) -j$(JOBS) unit
	$(MAKE) asan
	$(MAKE) func
	$(MAKE) fuzz
	$(MAKE) netns
	$(MAKE) walk

PREFIX ?= /usr/local
install: all
	install -D -m 755 $(BUILD)/portico $(DESTDIR)$(PREFIX)/bin/portico
	install -D -m 644 docs/man/portico.8 $(DESTDIR)$(PREFIX)/share/man/man8/portico.8

clean:
	rm -rf $(BUILD)

-include $(OBJ:.o=.d) $(BUILD)/main.d
