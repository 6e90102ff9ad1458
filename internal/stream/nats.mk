# The NATS server of the tests with a journal elsewhere: built from its Go module at
# the version in go.mod, the same code that is embedded.

NATS_SERVER := .tools/nats-server/nats-server

$(NATS_SERVER): go.mod internal/stream/nats.mk
	@echo "== building the NATS server for the tests"
	go build -trimpath -ldflags '-s -w' -o $@ github.com/nats-io/nats-server/v2
