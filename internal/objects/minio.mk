# MinIO, the S3 server of the lake's tests, built from its Go module at a pinned
# version and checksum. It is built in a throwaway module of its own, so that none
# of its dependencies reaches ours. Building takes some minutes, once.

MINIO         := .tools/minio/minio
MINIO_VERSION := v0.0.0-20260212201848-7aac2a2c5b7c
MINIO_SUM     := h1:/qdoYujxF5MBLDMVLeiYJ/7fBa1HikX39Dvzb9Ji8pA=

$(MINIO): internal/objects/minio.mk
	@echo "building MinIO $(MINIO_VERSION) into .tools/minio (some minutes, once)"
	@mkdir -p .tools/minio/build && cd .tools/minio/build && rm -f go.mod go.sum \
	  && printf 'package main\n\nimport _ "github.com/minio/minio/cmd"\n\nfunc main() {}\n' > main.go \
	  && go mod init minio.build 2>/dev/null \
	  && go get github.com/minio/minio@$(MINIO_VERSION) 2>/dev/null \
	  && { grep -qF "github.com/minio/minio $(MINIO_VERSION) $(MINIO_SUM)" go.sum \
	       || { echo "MinIO's module is not the one that was tested"; exit 1; }; } \
	  && go build -trimpath -ldflags '-s -w' -o ../minio github.com/minio/minio
	@rm -rf .tools/minio/build && touch $@
