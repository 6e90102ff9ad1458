# The engine's native library: ClickHouse as libchdb, from npm, at a pinned
# version and checksum. Include this file from the project's root Makefile and
# depend on $(LIBCHDB). A copy that is already at hand is used instead with
# OMBOR_LIBCHDB=/path/to/libchdb.so; a mirror with npm's own `registry` setting.

LIBCHDB        := .tools/libchdb/libchdb.so
LIBCHDB_SHA256 := 36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5
LIBCHDB_FROM   := warehouse/engine/library

$(LIBCHDB): $(LIBCHDB_FROM)/package.json $(LIBCHDB_FROM)/package-lock.json $(LIBCHDB_FROM)/library.mk
	@mkdir -p $(@D)/npm
	@cp $(LIBCHDB_FROM)/package.json $(LIBCHDB_FROM)/package-lock.json $(@D)/npm/
	@echo "installing the engine's library (178 MB, once)"
	@cd $(@D)/npm && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@echo "$(LIBCHDB_SHA256)  $(@D)/npm/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so" | sha256sum --check --quiet || \
		{ echo "the engine's library is not the one that was tested: remove $(@D) and try again"; exit 1; }
	@mv $(@D)/npm/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so $@ && rm -rf $(@D)/npm && touch $@
