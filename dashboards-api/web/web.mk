# The page: TypeScript built by npm into dashboards-api/web/dist, which the Go
# package beside it embeds. Nothing is repeated while its inputs stand still.

WEB       := dashboards-api/web
WEB_STAMP := $(WEB)/dist/index.html
WEB_NODE  := $(WEB)/node_modules/.package-lock.json
CHROMIUM  ?= /usr/bin/chromium

WEB_SOURCES := $(shell find $(WEB)/src $(WEB)/public -type f) \
	$(WEB)/index.html $(WEB)/vite.config.ts $(WEB)/tsconfig.json $(WEB)/package.json

.PHONY: web test-web test-browser lighthouse bench-page pictures

web: $(WEB_STAMP) ## the page, built and ready to be embedded

$(WEB_NODE): $(WEB)/package.json $(WEB)/package-lock.json
	@echo "== installing the page's packages"
	cd $(WEB) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB)/src/api/schema.ts: dashboards-api/openapi.yaml $(WEB_NODE)
	cd $(WEB) && npm run --silent types
	@touch $@

$(WEB_STAMP): $(WEB_NODE) $(WEB)/src/api/schema.ts $(WEB_SOURCES)
	@echo "== building the page"
	cd $(WEB) && npm run --silent build
	@touch $@

test-web: $(WEB_STAMP) ## the page's own tests
	cd $(WEB) && npm run --silent test

test-browser: $(WEB_STAMP) $(CHROMIUM) ## the page in Chromium; URL=http://127.0.0.1:8080 and TOKEN name a running server
	cd $(WEB) && npm run --silent test:browser -- --url "$(URL)" --token "$(TOKEN)" --chromium $(CHROMIUM)

lighthouse: $(WEB_STAMP) $(CHROMIUM) ## what Lighthouse says of the page; URL and TOKEN name a running server
	cd $(WEB) && node browser/lighthouse.mjs --url "$(URL)" --token "$(TOKEN)" --chromium $(CHROMIUM)

bench-page: $(WEB_STAMP) $(CHROMIUM) ## what the page fetches and computes, and how long a click waits; URL and TOKEN name a running server
	cd $(WEB) && node browser/bench.mjs --url "$(URL)" --token "$(TOKEN)" --chromium $(CHROMIUM)

pictures: $(WEB_STAMP) $(CHROMIUM) ## docs/images, taken anew; URL and TOKEN name a running server with simulated data
	cd $(WEB) && node browser/pictures.mjs --url "$(URL)" --token "$(TOKEN)" --chromium $(CHROMIUM)

$(CHROMIUM):
	@echo "== installing Debian's Chromium"
	apt-get update -qq && apt-get install -y -qq chromium
