# oidc-provider, an OpenID Connect provider that the OpenID Foundation has certified: the tests
# sign in with it.

OIDC_PROVIDER := .tools/oidc/node_modules/.package-lock.json

$(OIDC_PROVIDER): $(wildcard internal/access/testdata/provider/*)
	@echo "== installing oidc-provider for the tests"
	@mkdir -p .tools/oidc && cp internal/access/testdata/provider/* .tools/oidc/
	cd .tools/oidc && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
