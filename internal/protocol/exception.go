package protocol

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Codes of ClickHouse's errors (src/Common/ErrorCodes.cpp) that a door raises or
// looks for.
const (
	CodeBadArguments          = 36
	CodeNotImplemented        = 48
	CodeUnknownTable          = 60
	CodeSyntaxError           = 62
	CodeUnknownFormat         = 73
	CodeUnknownDatabase       = 81
	CodeUnknownCompression    = 89
	CodeUnknownSetting        = 115
	CodeTimeoutExceeded       = 159
	CodeReadonly              = 164
	CodeTooBigTree            = 168
	CodeRequiredPassword      = 194
	CodeTooManySimultaneous   = 202
	CodeSocketTimeout         = 209
	CodeNetworkError          = 210
	CodeSameQueryID           = 216
	CodeQueryIsTooLarge       = 229
	CodeMemoryLimitExceeded   = 241
	CodeTooManyParts          = 252
	CodeCannotDecompress      = 271
	CodeTooDeep               = 306
	CodeTooManyBytes          = 307
	CodeSessionNotFound       = 372
	CodeSessionLocked         = 373
	CodeInvalidSessionTimeout = 374
	CodeQueryWasCancelled     = 394
	CodeUnavailable           = 439
	CodeAccessDenied          = 497
	CodeAuthenticationFailed  = 516
	CodeStdException          = 1001
)

var names = map[int]string{
	CodeBadArguments:          "BAD_ARGUMENTS",
	CodeNotImplemented:        "NOT_IMPLEMENTED",
	CodeUnknownTable:          "UNKNOWN_TABLE",
	CodeSyntaxError:           "SYNTAX_ERROR",
	CodeUnknownFormat:         "UNKNOWN_FORMAT",
	CodeUnknownDatabase:       "UNKNOWN_DATABASE",
	CodeUnknownCompression:    "UNKNOWN_COMPRESSION_METHOD",
	CodeUnknownSetting:        "UNKNOWN_SETTING",
	CodeTimeoutExceeded:       "TIMEOUT_EXCEEDED",
	CodeReadonly:              "READONLY",
	CodeTooBigTree:            "TOO_BIG_AST",
	CodeRequiredPassword:      "REQUIRED_PASSWORD",
	CodeTooManySimultaneous:   "TOO_MANY_SIMULTANEOUS_QUERIES",
	CodeSocketTimeout:         "SOCKET_TIMEOUT",
	CodeNetworkError:          "NETWORK_ERROR",
	CodeSameQueryID:           "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
	CodeQueryIsTooLarge:       "QUERY_IS_TOO_LARGE",
	CodeMemoryLimitExceeded:   "MEMORY_LIMIT_EXCEEDED",
	CodeTooManyParts:          "TOO_MANY_PARTS",
	CodeCannotDecompress:      "CANNOT_DECOMPRESS",
	CodeTooDeep:               "TOO_DEEP_RECURSION",
	CodeTooManyBytes:          "TOO_MANY_BYTES",
	CodeSessionNotFound:       "SESSION_NOT_FOUND",
	CodeSessionLocked:         "SESSION_IS_LOCKED",
	CodeInvalidSessionTimeout: "INVALID_SESSION_TIMEOUT",
	CodeQueryWasCancelled:     "QUERY_WAS_CANCELLED",
	CodeUnavailable:           "CANNOT_SCHEDULE_TASK",
	CodeAccessDenied:          "ACCESS_DENIED",
	CodeAuthenticationFailed:  "AUTHENTICATION_FAILED",
	CodeStdException:          "STD_EXCEPTION",
}

// Exception is a ClickHouse error: a code, its name and a message. The zero code
// never occurs.
type Exception struct {
	Code    int    // of ErrorCodes.cpp
	Name    string // UNKNOWN_TABLE; empty when it is not known
	Message string // without code, class, name and version
	// RetryAfter is how many seconds a client should wait; 0 says nothing.
	RetryAfter int
}

// Exceptionf makes an exception of a code with a message.
func Exceptionf(code int, format string, args ...any) *Exception {
	return &Exception{Code: code, Name: names[code], Message: fmt.Sprintf(format, args...)}
}

func (e *Exception) Error() string { return e.Text("") }

// Text renders the exception as a server does. version, such as "26.7.2.1", is
// left out when empty.
func (e *Exception) Text(version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Code: %d. DB::Exception: %s", e.Code, e.Message)
	if !strings.HasSuffix(e.Message, ".") {
		b.WriteByte('.')
	}
	if e.Name != "" {
		fmt.Fprintf(&b, " (%s)", e.Name)
	}
	if version != "" {
		fmt.Fprintf(&b, " (version %s (official build))", version)
	}
	return b.String()
}

var (
	exceptionHead    = regexp.MustCompile(`^\s*(?:Code:\s*(\d+)\.\s*)(?:DB::(?:\w+)?Exception:\s*)?`)
	exceptionName    = regexp.MustCompile(`\s*\(([A-Z][A-Z0-9_]+)\)\s*$`)
	exceptionVersion = regexp.MustCompile(`\s*\(version [^()]*(?:\([^()]*\))?\)\.?\s*`)
)

// ParseException reads exception text as the engine or a server writes it. Text
// without a code becomes STD_EXCEPTION (1001).
func ParseException(text string) *Exception {
	e := &Exception{}
	// The engine sometimes wraps an exception into a second one with the same code.
	for {
		m := exceptionHead.FindStringSubmatch(text)
		if m == nil {
			break
		}
		code, err := strconv.Atoi(m[1])
		if err != nil || e.Code != 0 && code != e.Code {
			break
		}
		e.Code = code
		text = text[len(m[0]):]
	}
	if e.Code == 0 {
		return &Exception{Code: CodeStdException, Name: names[CodeStdException], Message: strings.TrimSpace(text)}
	}
	text = exceptionVersion.ReplaceAllString(strings.TrimSpace(text), "")
	for {
		m := exceptionName.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		if e.Name == "" {
			e.Name = text[m[2]:m[3]]
		} else if e.Name != text[m[2]:m[3]] {
			break
		}
		text = strings.TrimSpace(text[:m[0]])
	}
	e.Message = strings.TrimSpace(text)
	return e
}

// ExceptionOf is the exception in err's chain, or err's text as STD_EXCEPTION.
func ExceptionOf(err error) *Exception {
	var e *Exception
	if errors.As(err, &e) {
		return e
	}
	return Exceptionf(CodeStdException, "%v", err)
}

// statuses are the HTTP statuses of exceptions that are not 500, as a ClickHouse
// server has them (src/Server/HTTP/exceptionCodeToHTTPStatus.cpp).
var statuses = func() map[int]int {
	m := make(map[int]int)
	for status, codes := range map[int][]int{
		http.StatusUnauthorized: {CodeRequiredPassword},
		http.StatusForbidden:    {192, 193, CodeAccessDenied, 512, CodeAuthenticationFailed},
		http.StatusBadRequest: {6, 8, 15, 25, 26, 27, CodeBadArguments, 37, 38, 41, 44, 53, CodeSyntaxError, 72, 117, 123,
			167, CodeTooBigTree, 223, 321, 376, 427, 441, 675, 676},
		http.StatusNotFound:              {46, 47, 50, 56, CodeUnknownTable, 63, CodeUnknownFormat, 78, CodeUnknownDatabase, CodeUnknownSetting, 152, 336, 511},
		http.StatusRequestTimeout:        {CodeTimeoutExceeded},
		http.StatusLengthRequired:        {381},
		http.StatusRequestEntityTooLarge: {CodeQueryIsTooLarge},
		http.StatusUnsupportedMediaType:  {779},
		http.StatusNotImplemented:        {CodeNotImplemented},
		// A server answers 202 with 500. Here it is what is full for a moment, and
		// Retry-After says so.
		http.StatusServiceUnavailable: {76, CodeSocketTimeout, CodeUnavailable, CodeTooManySimultaneous},
	} {
		for _, code := range codes {
			m[code] = status
		}
	}
	return m
}()

// Status is the HTTP status that goes with the exception.
func (e *Exception) Status() int {
	if status := statuses[e.Code]; status != 0 {
		return status
	}
	return http.StatusInternalServerError
}
