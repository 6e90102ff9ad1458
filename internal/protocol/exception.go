package protocol

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Codes of ClickHouse's errors (ClickHouse, src/Common/ErrorCodes.cpp) that a door
// raises itself or maps to an HTTP status.
const (
	CodeCannotParseText        = 6
	CodeUnknownDatabase        = 81
	CodeBadArguments           = 36
	CodeUnknownTable           = 60
	CodeSyntaxError            = 62
	CodeUnknownFormat          = 73
	CodeNotImplemented         = 48
	CodeTimeoutExceeded        = 159
	CodeReadonly               = 164
	CodeTooManySimultaneous    = 202
	CodeMemoryLimitExceeded    = 241
	CodeTooManyParts           = 252
	CodeUnknownType            = 50
	CodeUnknownFunction        = 46
	CodeUnknownIdentifier      = 47
	CodeUnknownSetting         = 115
	CodeNoDataToInsert         = 108
	CodeCannotDecompress       = 271
	CodeUnknownCompression     = 89
	CodeSessionNotFound        = 372
	CodeSessionLocked          = 373
	CodeInvalidSessionTimeout  = 374
	CodeHTTPLengthRequired     = 381
	CodeQueryWasCancelled      = 394
	CodeAccessDenied           = 497
	CodeAuthenticationFailed   = 516
	CodeTooBigRequest          = 306
	CodeSocketTimeout          = 209
	CodeNetworkError           = 210
	CodeUnfinished             = 387
	CodeStdException           = 1001
	CodeAborted                = 236
	CodeBadQueryParameter      = 457
	CodeCannotParseInputAssert = 27
	CodeIncorrectData          = 117
)

var names = map[int]string{
	CodeBadArguments: "BAD_ARGUMENTS", CodeSyntaxError: "SYNTAX_ERROR", CodeUnknownFormat: "UNKNOWN_FORMAT",
	CodeNotImplemented: "NOT_IMPLEMENTED", CodeTooManySimultaneous: "TOO_MANY_SIMULTANEOUS_QUERIES",
	CodeCannotDecompress: "CANNOT_DECOMPRESS", CodeUnknownCompression: "UNKNOWN_COMPRESSION_METHOD",
	CodeSessionNotFound: "SESSION_NOT_FOUND", CodeSessionLocked: "SESSION_IS_LOCKED",
	CodeInvalidSessionTimeout: "INVALID_SESSION_TIMEOUT", CodeTooBigRequest: "TOO_LARGE_STRING_SIZE",
	CodeQueryWasCancelled: "QUERY_WAS_CANCELLED", CodeAborted: "ABORTED", CodeStdException: "STD_EXCEPTION",
	CodeReadonly: "READONLY", CodeIncorrectData: "INCORRECT_DATA", CodeNetworkError: "NETWORK_ERROR",
	CodeBadQueryParameter: "BAD_QUERY_PARAMETER", CodeUnknownSetting: "UNKNOWN_SETTING",
	CodeNoDataToInsert: "NO_DATA_TO_INSERT", CodeAccessDenied: "ACCESS_DENIED",
	CodeAuthenticationFailed: "AUTHENTICATION_FAILED",
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

// Status is the HTTP status that a ClickHouse server answers this exception with
// (src/Server/HTTPHandler.cpp, exceptionCodeToHTTPStatus).
func (e *Exception) Status() int {
	switch e.Code {
	case CodeAuthenticationFailed, 192, 193, 194: // unknown user, wrong or missing password
		return http.StatusUnauthorized
	case CodeAccessDenied, CodeReadonly:
		return http.StatusForbidden
	case CodeHTTPLengthRequired:
		return http.StatusLengthRequired
	case CodeTimeoutExceeded:
		return http.StatusRequestTimeout
	case CodeCannotParseText, CodeCannotParseInputAssert, 26, 38, 41, 69, 70, 72, CodeSyntaxError, CodeIncorrectData,
		53, 43, CodeBadQueryParameter, CodeCannotDecompress, CodeUnknownCompression:
		return http.StatusBadRequest
	case CodeUnknownTable, CodeUnknownFunction, CodeUnknownIdentifier, CodeUnknownType, 78, CodeUnknownDatabase, CodeUnknownSetting, 16,
		CodeUnknownFormat, 56, 57, 61, 63, 66, CodeSessionNotFound:
		return http.StatusNotFound
	case 128, 130, 131, 133, CodeTooBigRequest: // a part of the query is too large
		return http.StatusRequestEntityTooLarge
	case CodeNotImplemented:
		return http.StatusNotImplemented
	case CodeSocketTimeout, 425, 209 * 1000:
		return http.StatusServiceUnavailable
	case CodeTooManySimultaneous, CodeMemoryLimitExceeded, CodeAborted:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
