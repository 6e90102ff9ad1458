package engine_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"ombor/internal/protocol"
	"ombor/warehouse/engine/enginetest"
)

// nativeTypes are expressions of every type of the engine: their names and values
// must pass through the change of a Native block's revision.
var nativeTypes = []string{
	"1::UInt8", "1::UInt16", "1::UInt32", "1::UInt64", "1::UInt128", "1::UInt256",
	"-1::Int8", "-1::Int16", "-1::Int32", "-1::Int64", "-1::Int128", "-1::Int256",
	"1.5::Float32", "1.5::Float64", "1.5::BFloat16", "true",
	"'a'::String", "'a'::FixedString(3)", "'61f0c404-5cb3-11e7-907b-a6006ad3dba0'::UUID", "'1.2.3.4'::IPv4", "'::1'::IPv6",
	"'2024-01-02'::Date", "'2024-01-02'::Date32", "'2024-01-02 03:04:05'::DateTime", "'2024-01-02 03:04:05'::DateTime('Asia/Tashkent')",
	"'2024-01-02 03:04:05'::DateTime64(3)", "'2024-01-02 03:04:05'::DateTime64(6, 'Asia/Tashkent')",
	"'12:00:00'::Time", "'12:00:00'::Time64(3)",
	"1.5::Decimal(9, 2)", "1.5::Decimal(18, 2)", "1.5::Decimal(38, 2)", "1.5::Decimal(76, 2)",
	"'b'::Enum8('a' = -1, 'b' = 2)", `'it\'s'::Enum16('it\'s' = 1, 'tab\t' = 300)`,
	"INTERVAL 3 DAY", "INTERVAL 3 YEAR", "INTERVAL 3 MILLISECOND",
	"[1, 2]::Array(UInt8)", "[]::Array(UInt8)", "[[1], []]::Array(Array(UInt8))",
	"(1, 'a')::Tuple(UInt8, String)", "(1, 'a')::Tuple(a UInt8, `b c` String)", "tuple()",
	"map('a', 1)::Map(String, UInt8)", "map('a', map('b', [1]))::Map(String, Map(String, Array(UInt8)))",
	"NULL", "1::Nullable(UInt8)", "NULL::Nullable(String)", "[NULL, 'a']::Array(Nullable(String))",
	"'a'::LowCardinality(String)", "NULL::LowCardinality(Nullable(String))", "['a', 'b']::Array(LowCardinality(String))",
	"map('a', 'b')::Map(LowCardinality(String), LowCardinality(Nullable(String)))",
	"(1, 2)::Point", "[(1, 2), (3, 4)]::Ring", "[(1, 2)]::LineString", "[[(1, 2)]]::MultiLineString", "[[(1, 2)]]::Polygon", "[[[(1, 2)]]]::MultiPolygon",
	"1::Variant(UInt8, String)", "NULL::Variant(UInt8, String)", "['a'::Variant(String, UInt8), 1::Variant(String, UInt8)]",
	"1::Dynamic", "['a'::Dynamic, 1::Dynamic, NULL::Dynamic, [1]::Dynamic]", "1::Dynamic(max_types=1)", "[1::Dynamic(max_types=1), 'a'::Dynamic(max_types=1)]",
	`'{"a":1,"b":{"c":"x"},"d":[1,{"e":2}]}'::JSON`, `'{"a":1,"b":2}'::JSON(a UInt64, max_dynamic_paths=1, max_dynamic_types=4, SKIP c, SKIP REGEXP 'd.*')`,
	"CAST(7, 'SimpleAggregateFunction(sum, UInt64)')",
	"[(1, 'a')]::Nested(a UInt8, b String)",
	"[1,2,3,4,5,6,7,8]::QBit(Float32, 8)",
	"initializeAggregation('sumState', 1)", "initializeAggregation('quantilesState(0.5, 0.9)', 1)",
}

// A block that was changed to the client's revision names each type as the engine
// does, and holds the same values as the engine's own at revision 0.
func TestNativeRevisions(t *testing.T) {
	e := enginetest.Shared(t)
	settings := url.Values{"enable_time_time64_type": {"1"}, "allow_experimental_qbit_type": {"1"}, "allow_suspicious_low_cardinality_types": {"1"},
		"flatten_nested": {"0"}, "print_pretty_type_names": {"0"}}
	for _, flattened := range []string{"0", "1"} {
		settings.Set("output_format_native_use_flattened_dynamic_and_json_serialization", flattened)
		for _, expression := range nativeTypes {
			ask := func(revision int, query string) string {
				settings.Set("client_protocol_version", fmt.Sprint(revision))
				a := post(t, e, settings.Encode(), query)
				if a.status != 200 {
					t.Errorf("%s: %s", expression, a.body)
				}
				return a.body
			}
			name := strings.TrimSuffix(ask(0, "SELECT toTypeName("+expression+") FORMAT TSVRaw"), "\n")
			for _, rows := range []int{0, 1, 3} {
				query := fmt.Sprintf("SELECT materialize(%s) AS c FROM numbers(%d) FORMAT Native", expression, rows)
				now := ask(54460, query)
				if rows == 0 {
					if now != "" {
						t.Errorf("%s: an empty answer has %d bytes", expression, len(now))
					}
					continue
				}
				// Block info, one column, its rows, name, type, serialization, values.
				head := "\x01\x00\x02\xff\xff\xff\xff\x00\x01" + string(rune(rows)) + "\x01c" + string(appendString(nil, name)) + "\x00"
				if !strings.HasPrefix(now, head) {
					t.Errorf("%s: the block begins with %.80q, want %.80q", expression, now, head)
					continue
				}
				plain := ask(0, query)
				bare := name
				if strings.HasPrefix(name, "DateTime(") {
					bare = "DateTime"
				}
				if want := strings.TrimPrefix(plain, "\x01"+string(rune(rows))+"\x01c"+string(appendString(nil, bare))); now[len(head):] != want {
					t.Errorf("%s: values %.80q, want %.80q", expression, now[len(head):], want)
				}
			}
		}
	}
}

func appendString(b []byte, s string) []byte {
	buf := chproto.Buffer{Buf: b}
	buf.PutString(s)
	return buf.Buf
}

// A client's own decoder reads what was changed.
func TestClientDecodesBlocks(t *testing.T) {
	e := enginetest.Shared(t)
	const query = "SELECT number, toString(number) AS s, toDateTime(number, 'Asia/Tashkent') AS d, number::Dynamic AS y, map(s, [number]) AS m FROM numbers(200000) FORMAT Native"
	a := post(t, e, "client_protocol_version=54460&output_format_native_use_flattened_dynamic_and_json_serialization=1", query)
	reader := chproto.NewReader(strings.NewReader(a.body))
	total := 0
	for total < 200000 {
		block := proto.NewBlock()
		if err := block.Decode(reader, 54460); err != nil {
			t.Fatalf("after %d rows: %v", total, err)
		}
		if got := fmt.Sprint(block.ColumnsNames(), block.Columns[2].Type()); got != "[number s d y m]DateTime('Asia/Tashkent')" {
			t.Fatalf("columns: %s", got)
		}
		if got := block.Columns[1].Row(0, false); got != fmt.Sprint(total) {
			t.Fatalf("row %d holds %v", total, got)
		}
		total += block.Rows()
	}
}

func BenchmarkReframe(b *testing.B) {
	e := enginetest.Shared(b)
	a := post(b, e, protocol.TypesInBinary+"=1", "SELECT number, toString(number), toDateTime(number), ['a', 'b'], toLowCardinality(toString(number % 100)) FROM numbers(65000) FORMAT Native")
	src := []byte(a.body)
	var out []byte
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = protocol.Reframe(out[:0], src, 54460); err != nil {
			b.Fatal(err)
		}
	}
}
