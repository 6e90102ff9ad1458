// Package objects keeps immutable objects under names: in a folder, or in a
// bucket of an S3 server. It is the only package that imports an S3 client.
//
//	store, err := objects.Open(ctx, "/var/lib/ombor/lake")
//	store, err := objects.Open(ctx, "s3://bucket/prefix?endpoint=https://minio.example:9000")
//	err = store.Put(ctx, "request_decided_v1/cut=2024-05-01/1-900.parquet", data)
//
// An object is written once and is whole or absent: a reader never sees part of it.
// Putting the same bytes under the same name again is fine, so a writer that died
// before it heard the answer just puts again; other bytes under a name that
// exists are a Conflict. When Put returns nil the object is durable: in a folder
// the file and its directory are fsynced, on S3 the server has answered.
//
// Names are slash-separated paths of letters, digits and "-_.=", without empty,
// "." or ".." parts.
//
// S3 credentials come from OMBOR_S3_ACCESS_KEY and OMBOR_S3_SECRET_KEY, or
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or the
// machine's role; never from the URL, which is logged. The URL's parameters are
// endpoint (default https://s3.amazonaws.com) and region. The server must honour
// "If-None-Match: *" (AWS S3, MinIO, Ceph since 2024); Open tries it out.
package objects

import (
	"context"
	"net/url"
	"strings"
	"time"

	"ombor/internal/problem"
)

// Info is what a store knows of one object.
type Info struct {
	Name string
	Size int64 // bytes
}

// Store is a set of immutable objects. All methods are safe for concurrent use
// and bounded in time. Errors: NotFound, Conflict (Put), BadInput (a name that is
// not one), Unavailable (the store is away, full, or refuses us: the message says
// which; try again later).
type Store interface {
	// Put writes an object if its name is free; the same bytes again are fine.
	Put(ctx context.Context, name string, data []byte) error
	// Get reads a whole object.
	Get(ctx context.Context, name string) ([]byte, error)
	// Range reads length bytes from offset; fewer at the object's end.
	Range(ctx context.Context, name string, offset, length int64) ([]byte, error)
	// Stat says how large an object is.
	Stat(ctx context.Context, name string) (Info, error)
	// List calls fn for every object whose name begins with prefix, in order of
	// name, until fn fails; fn's error is returned.
	List(ctx context.Context, prefix string, fn func(Info) error) error
	// Delete removes an object; one that is not there is fine.
	Delete(ctx context.Context, name string) error
	// String is the store's place, without secrets.
	String() string
}

// Open opens the store at a URL s3://bucket/prefix?endpoint=…, or at the path of a
// folder, which is made when missing.
func Open(ctx context.Context, place string) (Store, error) {
	if rest, ok := strings.CutPrefix(place, "file://"); ok {
		place = rest
	}
	if !strings.Contains(place, "://") {
		return openFolder(place)
	}
	u, err := url.Parse(place)
	if err != nil {
		return nil, problem.New(problem.BadInput, "the lake's address is not a URL").In("lake")
	}
	if u.User != nil {
		return nil, problem.New(problem.BadInput, "credentials do not belong into the lake's URL: set OMBOR_S3_ACCESS_KEY and OMBOR_S3_SECRET_KEY").In("lake")
	}
	if u.Scheme != "s3" {
		return nil, problem.New(problem.BadInput, "the lake's address begins with %s://; a folder or s3:// is known", u.Scheme).In("lake")
	}
	return openS3(ctx, u)
}

// check refuses what is not an object's name.
func check(name string) error {
	bad := name == "" || len(name) > 900
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || part == "" || part[0] == '.'
	}
	if bad || strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.=/", r))
	}) >= 0 {
		return problem.New(problem.BadInput, "%q is not the name of an object", name)
	}
	return nil
}

func conflict(name string) error {
	return problem.New(problem.Conflict, "%s exists with other content; objects are never changed", name)
}

func away(op string, err error, format string, args ...any) error {
	e := problem.Wrap(err, problem.Unavailable, "objects: "+op, format, args...).(*problem.Error)
	e.RetryAfter = 5 * time.Second
	return e
}
