package objects

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"ombor/internal/problem"
)

const (
	dialTimeout   = 5 * time.Second
	headerTimeout = 20 * time.Second // from the request's last byte to the answer's first
	callTimeout   = 2 * time.Minute  // a whole call, body included
)

// bucket keeps objects in an S3 bucket below a prefix.
type bucket struct {
	client *minio.Client
	name   string
	prefix string // "" or ends with "/"
	place  string
}

func openS3(ctx context.Context, u *url.URL) (Store, error) {
	endpoint := u.Query().Get("endpoint")
	if endpoint == "" {
		endpoint = "https://s3.amazonaws.com"
	}
	e, err := url.Parse(endpoint)
	if err != nil || e.Host == "" || e.Scheme != "http" && e.Scheme != "https" {
		return nil, problem.New(problem.BadInput, "endpoint must be http://host:port or https://host:port").In("lake")
	}
	if u.Host == "" {
		return nil, problem.New(problem.BadInput, "the lake's address names no bucket: s3://bucket/prefix").In("lake")
	}
	for key := range u.Query() {
		if key != "endpoint" && key != "region" {
			return nil, problem.New(problem.BadInput, "unknown parameter %q in the lake's address; endpoint and region are known", key).In("lake")
		}
	}
	creds := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.Static{Value: credentials.Value{AccessKeyID: os.Getenv("OMBOR_S3_ACCESS_KEY"), SecretAccessKey: os.Getenv("OMBOR_S3_SECRET_KEY"), SignerType: credentials.SignatureV4}},
		&credentials.EnvAWS{}, &credentials.IAM{Client: &http.Client{Timeout: dialTimeout}},
	})
	if os.Getenv("OMBOR_S3_ACCESS_KEY") == "" {
		creds = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.IAM{Client: &http.Client{Timeout: dialTimeout}}})
	}
	client, err := minio.New(e.Host, &minio.Options{
		Creds: creds, Secure: e.Scheme == "https", Region: u.Query().Get("region"), MaxRetries: 3,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
			ResponseHeaderTimeout: headerTimeout, TLSHandshakeTimeout: dialTimeout, MaxIdleConnsPerHost: 16,
			IdleConnTimeout: time.Minute, DisableCompression: true,
		},
	})
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "objects: open", "the lake's address cannot be used")
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		if err := check(prefix); err != nil {
			return nil, err
		}
		prefix += "/"
	}
	b := &bucket{client: client, name: u.Host, prefix: prefix, place: "s3://" + u.Host + "/" + prefix + " at " + e.Host}
	return b, b.try(ctx)
}

// try makes sure that the bucket is there and honours If-None-Match: a server
// that ignores it would let a late writer replace an object.
func (b *bucket) try(ctx context.Context) error {
	const probe = "_ombor/immutable"
	if err := b.Put(ctx, probe, []byte("Objects here are written once and never changed.\n")); err != nil {
		return err
	}
	err := b.Put(ctx, probe, []byte("x"))
	if err == nil {
		return problem.New(problem.Unsupported, "the object store %s ignores If-None-Match: it would replace objects", b.place).In("lake")
	}
	if problem.KindOf(err) != problem.Conflict {
		return err
	}
	return nil
}

func (b *bucket) String() string { return b.place }

func (b *bucket) fault(ctx context.Context, op, name string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	switch r := minio.ToErrorResponse(err); {
	case r.Code == "NoSuchKey":
		return problem.Wrap(err, problem.NotFound, "objects: "+op, "there is no %s", name)
	case r.Code == "NoSuchBucket":
		return away(op, err, "the object store %s has no such bucket", b.place)
	case r.StatusCode == http.StatusForbidden || r.StatusCode == http.StatusUnauthorized:
		return away(op, err, "the object store %s refuses our credentials (%s)", b.place, r.Code)
	case r.StatusCode == http.StatusInsufficientStorage || r.Code == "XMinioStorageFull":
		return away(op, err, "the object store %s is full", b.place)
	case r.StatusCode >= 400:
		return away(op, err, "the object store %s answers %d %s", b.place, r.StatusCode, r.Code)
	}
	return away(op, err, "the object store %s does not answer", b.place)
}

func (b *bucket) Put(ctx context.Context, name string, data []byte) error {
	if err := check(name); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", SendContentMd5: true, DisableMultipart: true}
	opts.SetMatchETagExcept("*")
	_, err := b.client.PutObject(call, b.name, b.prefix+name, bytes.NewReader(data), int64(len(data)), opts)
	if err == nil {
		return nil
	}
	// 412: the name is taken. 409: another conditional write of it is under way; its
	// outcome is seen by reading.
	if r := minio.ToErrorResponse(err); r.StatusCode == http.StatusPreconditionFailed || r.StatusCode == http.StatusConflict {
		same, serr := b.same(call, name, data)
		if serr != nil {
			return serr
		}
		if !same {
			return conflict(name)
		}
		return nil
	}
	return b.fault(ctx, "put", name, err)
}

// same says whether the stored object has these bytes; without reading it when
// its ETag is the MD5 of other bytes of another length.
func (b *bucket) same(ctx context.Context, name string, data []byte) (bool, error) {
	st, err := b.client.StatObject(ctx, b.name, b.prefix+name, minio.StatObjectOptions{})
	if err != nil {
		return false, b.fault(ctx, "put", name, err)
	}
	if st.Size != int64(len(data)) {
		return false, nil
	}
	sum := md5.Sum(data)
	if strings.Trim(st.ETag, `"`) == hex.EncodeToString(sum[:]) {
		return true, nil
	}
	// With encryption at rest an ETag is no MD5.
	old, err := b.Get(ctx, name)
	return bytes.Equal(old, data), err
}

func (b *bucket) Get(ctx context.Context, name string) ([]byte, error) {
	return b.read(ctx, "get", name, minio.GetObjectOptions{})
}

func (b *bucket) Range(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if length <= 0 {
		_, err := b.Stat(ctx, name)
		return nil, err
	}
	opts := minio.GetObjectOptions{}
	if err := opts.SetRange(offset, offset+length-1); err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "objects: range", "%s: no such range", name)
	}
	data, err := b.read(ctx, "range", name, opts)
	if minio.ToErrorResponse(errors.Unwrap(err)).Code == "InvalidRange" {
		return nil, nil // the range begins at or after the end
	}
	return data, err
}

func (b *bucket) read(ctx context.Context, op, name string, opts minio.GetObjectOptions) ([]byte, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	core := minio.Core{Client: b.client}
	body, info, _, err := core.GetObject(call, b.name, b.prefix+name, opts)
	if err != nil {
		return nil, b.fault(ctx, op, name, err)
	}
	defer body.Close()
	data := make([]byte, 0, max(info.Size, 0)+1)
	buf := bytes.NewBuffer(data)
	n, err := io.Copy(buf, body)
	if err == nil && info.Size >= 0 && n != info.Size {
		err = io.ErrUnexpectedEOF
	}
	return buf.Bytes(), b.fault(ctx, op, name, err)
}

func (b *bucket) Stat(ctx context.Context, name string) (Info, error) {
	if err := check(name); err != nil {
		return Info{}, err
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	st, err := b.client.StatObject(call, b.name, b.prefix+name, minio.StatObjectOptions{})
	if err != nil {
		return Info{}, b.fault(ctx, "stat", name, err)
	}
	return Info{Name: name, Size: st.Size}, nil
}

func (b *bucket) List(ctx context.Context, prefix string, fn func(Info) error) error {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var found []Info
	for o := range b.client.ListObjects(call, b.name, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return b.fault(ctx, "list", prefix, o.Err)
		}
		name := strings.TrimPrefix(o.Key, b.prefix)
		if check(name) == nil && !strings.HasPrefix(name, "_ombor/") {
			found = append(found, Info{Name: name, Size: o.Size})
		}
	}
	return each(found, fn)
}

func (b *bucket) Delete(ctx context.Context, name string) error {
	if err := check(name); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return b.fault(ctx, "delete", name, b.client.RemoveObject(call, b.name, b.prefix+name, minio.RemoveObjectOptions{}))
}

func each(found []Info, fn func(Info) error) error {
	slices.SortFunc(found, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	for _, o := range found {
		if err := fn(o); err != nil {
			return err
		}
	}
	return nil
}
