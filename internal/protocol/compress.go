package protocol

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
	"github.com/go-faster/city"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// NewFrameReader decompresses ClickHouse frames (LZ4, ZSTD or none, each with its
// checksum). A broken or truncated frame is an [*Exception].
func NewFrameReader(r io.Reader) io.Reader { return newFrameReader(r, 0) }

// maxFrame is how many bytes of a frame, compressed or not, are held in memory where nobody says less.
const maxFrame = 128 << 20

// newFrameReader is [NewFrameReader] for frames of at most so many bytes, compressed and not; 0 is 128 MiB.
func newFrameReader(r io.Reader, most int64) io.Reader {
	if most == 0 {
		most = maxFrame
	}
	return &frameReader{in: bufio.NewReaderSize(r, 64<<10), most: most}
}

// frameReader reads frames: a checksum of what follows it, the method, the length from the method on, the length without
// compression, and the data. Nothing is believed of these lengths before it is bounded.
type frameReader struct {
	in   *bufio.Reader
	most int64
	zstd *zstd.Decoder // made when it is needed
	raw  []byte        // the frame, reused
	data []byte        // without compression, reused
	left []byte        // of data
}

const (
	frameChecksum = 16
	frameLengths  = 1 + 4 + 4 // the method and both lengths
	methodNone    = 0x02
	methodLZ4     = 0x82
	methodZSTD    = 0x90
)

func (f *frameReader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	defer func() {
		// A hostile frame must not take the process down with the decompressor.
		if r := recover(); r != nil {
			n, err = 0, Exceptionf(CodeCannotDecompress, "a compressed frame is broken")
		}
	}()
	for len(f.left) == 0 { // a frame may be empty
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n = copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}

// next reads a frame. io.EOF: there is none.
func (f *frameReader) next() error {
	broken := func(err error) error {
		var network interface{ Timeout() bool }
		var told *Exception
		if errors.As(err, &network) || errors.As(err, &told) {
			return err
		}
		return Exceptionf(CodeCannotDecompress, "a compressed frame is broken: %v", err)
	}
	if _, err := f.in.Peek(1); err == io.EOF {
		return io.EOF
	}
	f.raw = append(f.raw[:0], make([]byte, frameChecksum+frameLengths)...)
	if _, err := io.ReadFull(f.in, f.raw); err != nil {
		return broken(err)
	}
	packed, plain := int64(binary.LittleEndian.Uint32(f.raw[frameChecksum+1:])), int64(binary.LittleEndian.Uint32(f.raw[frameChecksum+5:]))
	if packed < frameLengths {
		return broken(io.ErrUnexpectedEOF)
	}
	if packed > f.most || plain > f.most {
		return Exceptionf(CodeQueryIsTooLarge, "a compressed frame has %d bytes, %d without compression; at most %d are allowed", packed, plain, f.most)
	}
	f.raw = append(f.raw, make([]byte, packed-frameLengths)...)
	if _, err := io.ReadFull(f.in, f.raw[frameChecksum+frameLengths:]); err != nil {
		return broken(err)
	}
	if sum := city.CH128(f.raw[frameChecksum:]); sum.Low != binary.LittleEndian.Uint64(f.raw) || sum.High != binary.LittleEndian.Uint64(f.raw[8:]) {
		return broken(errors.New("its checksum is another"))
	}
	data := f.raw[frameChecksum+frameLengths:]
	switch method := f.raw[frameChecksum]; method {
	case methodNone:
		f.left = data
	case methodLZ4:
		f.data = append(f.data[:0], make([]byte, plain)...)
		n, err := lz4.UncompressBlock(data, f.data)
		if err != nil {
			return broken(err)
		}
		f.left = f.data[:n]
	case methodZSTD:
		if f.zstd == nil {
			var err error
			if f.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(f.most))); err != nil {
				return err
			}
		}
		var err error
		if f.data, err = f.zstd.DecodeAll(data, f.data[:0]); err != nil {
			return broken(err)
		}
		f.left = f.data
	default:
		return broken(fmt.Errorf("the method %#02x is unknown", method))
	}
	if int64(len(f.left)) != plain {
		return broken(fmt.Errorf("%d bytes instead of the %d of its head", len(f.left), plain))
	}
	return nil
}

// counted counts what is read through it.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded fails when a compressed body becomes too many times as large as it arrived.
type bounded struct {
	counted
	from  *counted
	ratio int64
}

// freeBytes may come of any body, however small.
const freeBytes = 1 << 20

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.counted.Read(p)
	if b.n > freeBytes && b.n > b.ratio*b.from.n {
		return 0, Exceptionf(CodeQueryIsTooLarge, "the compressed body becomes more than %d times as large", b.ratio)
	}
	return n, err
}

// frameSize is how many bytes of an answer go into one frame, as servers do it.
const frameSize = 1 << 20

// NewFrameWriter compresses into ClickHouse frames by method (LZ4, LZ4HC, ZSTD,
// NONE; empty is LZ4). Nothing reaches w before Flush, Close or 1 MiB. Close does
// not close w.
func NewFrameWriter(w io.Writer, method string, level int) (io.WriteCloser, error) {
	var m compress.Method
	switch method {
	case "", "LZ4":
		m = compress.LZ4
	case "LZ4HC":
		m = compress.LZ4HC
	case "ZSTD":
		m = compress.ZSTD
	case "NONE":
		m = compress.None
	default:
		return nil, Exceptionf(CodeUnknownCompression, "unknown compression method %q", method)
	}
	return &frameWriter{w: w, c: compress.NewWriter(compress.Level(level), m)}, nil
}

type frameWriter struct {
	w   io.Writer
	c   *compress.Writer
	buf []byte
}

func (f *frameWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := min(len(p), frameSize-len(f.buf))
		f.buf = append(f.buf, p[:n]...)
		p = p[n:]
		if len(f.buf) == frameSize {
			if err := f.Flush(); err != nil {
				return total - len(p), err
			}
		}
	}
	return total, nil
}

func (f *frameWriter) Flush() error {
	if len(f.buf) == 0 {
		return nil
	}
	if err := f.c.Compress(f.buf); err != nil {
		return err
	}
	f.buf = f.buf[:0]
	_, err := f.w.Write(f.c.Data)
	return err
}

func (f *frameWriter) Close() error { return f.Flush() }

// ContentReader undoes an HTTP Content-Encoding: gzip, deflate, br, zstd, lz4.
func ContentReader(encoding string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return r, nil
	case "gzip", "x-gzip":
		return &lazyReader{open: func() (io.Reader, error) { return gzip.NewReader(r) }}, nil
	case "deflate":
		return &lazyReader{open: func() (io.Reader, error) { return openDeflate(r) }}, nil
	case "br":
		return &lazyReader{open: func() (io.Reader, error) { return brotli.NewReader(r), nil }}, nil
	case "zstd":
		return &lazyReader{open: func() (io.Reader, error) {
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20)) // RFC 9659: more is not to be sent
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		}}, nil
	case "lz4":
		return &lazyReader{open: func() (io.Reader, error) { return lz4.NewReader(r), nil }}, nil
	}
	return nil, Exceptionf(CodeUnknownCompression, "unknown Content-Encoding %q: gzip, deflate, br, zstd and lz4 are understood", encoding)
}

// openDeflate reads what HTTP calls deflate: zlib, or (as some clients send) bare
// deflate.
func openDeflate(r io.Reader) (io.Reader, error) {
	in := bufio.NewReader(r)
	head, err := in.Peek(2)
	if err != nil && len(head) < 2 {
		return nil, io.ErrUnexpectedEOF
	}
	if head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		return zlib.NewReader(in)
	}
	return flate.NewReader(in), nil
}

// lazyReader opens a decompressor at the first read, and says CANNOT_DECOMPRESS
// when its input is broken.
type lazyReader struct {
	open func() (io.Reader, error)
	r    io.Reader
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if err == io.EOF {
			return 0, io.EOF // an empty body
		}
		if err != nil {
			return 0, Exceptionf(CodeCannotDecompress, "the compressed body is broken: %v", err)
		}
		l.r = r
	}
	n, err := l.r.Read(p)
	if err != nil && err != io.EOF {
		err = Exceptionf(CodeCannotDecompress, "the compressed body is broken: %v", err)
	}
	return n, err
}

// encodings are what an answer can be sent in, best first: what a server would
// choose, gzip before the rest because every client has it.
var encodings = []string{"br", "zstd", "lz4", "gzip", "deflate"}

// ChooseEncoding picks the answer's Content-Encoding from an Accept-Encoding
// header; empty when none of those accepted is known.
func ChooseEncoding(accept string) string {
	accepted := make(map[string]bool)
	for _, part := range strings.Split(accept, ",") {
		name, quality, _ := strings.Cut(part, ";")
		if strings.ReplaceAll(quality, " ", "") == "q=0" {
			continue
		}
		accepted[strings.ToLower(strings.TrimSpace(name))] = true
	}
	for _, name := range encodings {
		if accepted[name] {
			return name
		}
	}
	return ""
}

// ContentWriter compresses an answer into a Content-Encoding. Close ends the
// encoding and does not close w.
func ContentWriter(encoding string, w io.Writer) (io.WriteCloser, error) {
	switch encoding {
	case "gzip":
		return gzip.NewWriterLevel(w, 3)
	case "deflate":
		return zlib.NewWriterLevel(w, 3)
	case "br":
		return brotli.NewWriterLevel(w, 3), nil
	case "zstd":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	case "lz4":
		return lz4.NewWriter(w), nil
	}
	return nil, Exceptionf(CodeUnknownCompression, "unknown Content-Encoding %q", encoding)
}

// flusher is a compressor that can push out what it holds.
type flusher interface{ Flush() error }
