package governed

import (
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"ombor/internal/protocol"
)

// Limits bound what one statement may take. A zero field has the default that it names.
type Limits struct {
	Time       time.Duration // of one statement, waiting not counted; 0 is two minutes
	Memory     int64         // bytes of one statement; 0 is 512 MiB
	Disk       int64         // bytes of temporary data of one statement; 0 is 2 GiB
	ReadRows   int64         // rows that one statement reads; 0 is 2 billion
	ResultRows int64         // rows of an answer; 0 is 20 million
	Result     int64         // bytes of an answer, as the engine counts them; 0 is 4 GiB
	Threads    int           // of one statement; 0 is one
	Encoding   int           // threads of a statement whose answer is Parquet, which is more work to write than to find; 0 is two

	Running int           // statements of everybody that read rows at once; 0 is one for each two processors
	Each    int           // of them of one principal; 0 is half of Running, and one at least
	Waiting int           // statements of one principal that wait; 0 is 50
	Wait    time.Duration // for a turn; 0 is 30 seconds

	Piece time.Duration // the longest wait for the next bytes of a request's body; 0 is ten seconds
}

func (l Limits) withDefaults() Limits {
	l.Time = or(l.Time, 2*time.Minute)
	l.Memory, l.Disk, l.ReadRows, l.ResultRows, l.Result = or(l.Memory, 512<<20), or(l.Disk, 2<<30), or(l.ReadRows, 2_000_000_000), or(l.ResultRows, 20_000_000), or(l.Result, 4<<30)
	l.Threads, l.Encoding = or(l.Threads, 1), or(l.Encoding, 2)
	l.Running = or(l.Running, max(1, runtime.NumCPU()/2))
	l.Each = or(l.Each, max(1, l.Running/2))
	l.Waiting, l.Wait = or(l.Waiting, 50), or(l.Wait, 30*time.Second)
	l.Piece = or(l.Piece, 10*time.Second)
	return l
}

// formats that may be asked for. Not among them are those that need a file of the server (Template,
// Protobuf, CapnProto) and those of other wires.
var formats = set(`Arrow ArrowStream Avro BSONEachRow CSV CSVWithNames CSVWithNamesAndTypes GeoJSON Hash JSON JSONColumns JSONColumnsWithMetadata
	JSONCompact JSONCompactColumns JSONCompactEachRow JSONCompactEachRowWithNames JSONCompactEachRowWithNamesAndTypes JSONCompactEachRowWithProgress
	JSONCompactStrings JSONCompactStringsEachRow JSONCompactStringsEachRowWithNames JSONCompactStringsEachRowWithNamesAndTypes
	JSONCompactStringsEachRowWithProgress JSONEachRow JSONEachRowWithProgress JSONL JSONLines JSONObjectEachRow JSONStrings JSONStringsEachRow
	JSONStringsEachRowWithProgress LineAsString Markdown MD MsgPack Native NDJSON Npy Null ORC Parquet Pretty PrettyCompact PrettyCompactMonoBlock
	PrettyCompactNoEscapes PrettyCompactNoEscapesMonoBlock PrettyJSONEachRow PrettyJSONLines PrettyMonoBlock PrettyNDJSON PrettyNoEscapes
	PrettyNoEscapesMonoBlock PrettySpace PrettySpaceMonoBlock PrettySpaceNoEscapes PrettySpaceNoEscapesMonoBlock Raw RawBLOB RawWithNames
	RawWithNamesAndTypes RowBinary RowBinaryWithNames RowBinaryWithNamesAndTypes SQLInsert TSKV TSV TSVRaw TSVRawWithNames TSVRawWithNamesAndTypes
	TSVWithNames TSVWithNamesAndTypes TabSeparated TabSeparatedRaw TabSeparatedRawWithNames TabSeparatedRawWithNamesAndTypes TabSeparatedWithNames
	TabSeparatedWithNamesAndTypes Values Vertical XML`)

// externalFormats are what own lists may come in. Not among them is Values, which computes expressions.
var externalFormats = set(`TabSeparated TabSeparatedWithNames TabSeparatedWithNamesAndTypes TabSeparatedRaw TSV TSVWithNames TSVWithNamesAndTypes TSVRaw
	CSV CSVWithNames CSVWithNamesAndTypes JSONEachRow JSONLines NDJSON JSONCompactEachRow JSONCompactEachRowWithNames JSONCompactEachRowWithNamesAndTypes
	Native RowBinary RowBinaryWithNames RowBinaryWithNamesAndTypes Arrow ArrowStream Parquet LineAsString`)

// forwarded are the settings that the engine is given as a client sends them: they change how an
// answer is written, or what SQL means, and none of them what may be read.
var forwarded = set(`date_time_output_format bool_true_representation bool_false_representation format_csv_delimiter
	format_csv_null_representation format_tsv_null_representation session_timezone extremes totals_mode limit offset
	join_use_nulls join_default_strictness any_join_distinct_right_table_keys union_default_mode except_default_mode intersect_default_mode transform_null_in
	group_by_use_nulls cast_keep_nullable cast_ipv4_ipv6_default_on_conversion_error data_type_default_nullable aggregate_functions_null_for_empty
	empty_result_for_aggregation_by_empty_set prefer_column_name_to_alias enable_positional_arguments
	least_greatest_legacy_null_behavior short_circuit_function_evaluation`)

// outputs are settings of the same kind whose names begin with output_format_.
var outputs = set(`always_write_decimal_point_in_float_and_decimal arrow_compression_method arrow_date_as_uint16 arrow_fixed_string_as_fixed_byte_array
	arrow_low_cardinality_as_dictionary arrow_string_as_string arrow_unsupported_types_as_binary arrow_use_64_bit_indexes_for_dictionary
	arrow_use_native_writer arrow_use_signed_indexes_for_dictionary arrow_uuid_as_fixed_byte_array arrow_variant_as_string
	binary_encode_types_in_binary_format binary_write_json_as_string compression_level compression_zstd_window_log csv_crlf_end_of_line
	csv_header_serialize_tuple_into_separate_columns csv_serialize_tuple_into_separate_columns decimal_trailing_zeros float_precision
	json_array_of_rows json_escape_forward_slashes json_map_as_array_of_tuples json_named_tuples_as_objects json_pretty_print
	json_quote_64bit_floats json_quote_64bit_integers json_quote_decimals json_quote_denormals json_skip_null_value_in_named_tuples
	json_validate_utf8 markdown_escape_special_characters native_encode_types_in_binary_format
	native_use_flattened_dynamic_and_json_serialization native_write_json_as_string orc_compression_method orc_string_as_string
	orc_writer_time_zone_name parquet_batch_size parquet_compliant_nested_types parquet_compression_method parquet_data_page_size
	parquet_date_as_uint16 parquet_datetime_as_uint32 parquet_enum_as_byte_array parquet_fixed_string_as_fixed_byte_array parquet_row_group_size
	parquet_row_group_size_bytes parquet_string_as_string parquet_unsupported_types_as_binary parquet_use_custom_encoder parquet_version
	parquet_write_checksums parquet_write_page_index pretty_color pretty_display_footer_column_names pretty_display_footer_column_names_min_rows
	pretty_fallback_to_vertical pretty_fallback_to_vertical_max_rows_per_chunk pretty_fallback_to_vertical_min_columns
	pretty_fallback_to_vertical_min_table_width pretty_glue_chunks pretty_grid_charset pretty_highlight_digit_groups
	pretty_highlight_trailing_spaces pretty_max_column_name_width_cut_to pretty_max_column_name_width_min_chars_to_cut
	pretty_max_column_pad_width pretty_max_rows pretty_max_value_width pretty_max_value_width_apply_for_single_value pretty_multiline_fields
	pretty_named_tuples_as_json pretty_row_numbers pretty_single_large_number_tip_threshold pretty_squash_consecutive_ms
	pretty_squash_max_wait_ms pretty_use_nbsp_for_padding trim_fixed_string tsv_crlf_end_of_line values_escape_quote_with_quote write_statistics`)

const outputPrefix = "output_format_"

// passedOver are settings that clients send of their own and that change nothing here: how to
// connect, compress and log, how to be quick, and what is still an experiment in some version.
var passedOver = []string{
	"send_", "receive_", "http_", "connect_", "connection_", "tcp_", "log_", "query_cache_", "use_", "wait_", "async_", "insert_", "input_format_", "distributed_",
	"compile_", "min_", "max_", "network_", "opentelemetry_", "optimize_", "allow_experimental_", "allow_suspicious_", "enable_", "preferred_", "prefer_localhost_replica",
	"load_balancing", "poll_interval", "interactive_delay", "priority", "readonly", "low_cardinality_", "cancel_http_readonly_queries_on_client_close",
	"add_http_cors_header", "stream_", "replace_running_query", "result_overflow_mode", "timeout_overflow_mode", "read_overflow_mode", "sort_overflow_mode",
	"group_by_overflow_mode", "join_overflow_mode", "join_algorithm", "set_overflow_mode", "transfer_overflow_mode", "distinct_overflow_mode", "allow_ddl",
	"allow_introspection_functions", "any_join", "count_distinct_implementation", "merge_tree_", "workload", "s3_", "schema_inference_", "describe_",
	"show_", "ignore_", "date_time_input_format", "default_format", "session_", "role", "client_", "output_format_parallel_formatting", "select_sequential_consistency", "cast_string_to_dynamic_use_inference",
}

// fixed are the settings of every statement.
var fixed = []protocol.Pair{
	{Name: "timeout_overflow_mode", Value: "throw"}, {Name: "read_overflow_mode", Value: "throw"}, {Name: "result_overflow_mode", Value: "throw"},
	{Name: "max_subquery_depth", Value: "50"}, {Name: "max_ast_elements", Value: "50000"}, {Name: "max_expanded_ast_elements", Value: "500000"},
	{Name: "use_query_cache", Value: "0"},
}

// readRows is the engine's limit of the rows that a statement reads.
const readRows = "max_rows_to_read"

// clamped are limits of which a client may ask for less, by the format of the answer.
func (l *Limits) clamped(format string) map[string]float64 {
	threads := l.Threads
	if strings.EqualFold(format, "Parquet") {
		threads = max(threads, l.Encoding)
	}
	return map[string]float64{
		"max_execution_time": l.Time.Seconds(), "max_memory_usage": float64(l.Memory), "max_result_rows": float64(l.ResultRows), "max_result_bytes": float64(l.Result),
		readRows: float64(l.ReadRows), "max_temporary_data_on_disk_size_for_query": float64(l.Disk), "max_threads": float64(threads),
	}
}

// settle makes the engine's settings of what a client asked for: a limit may be lowered, a
// wish that changes nothing is passed over, and what would change what can be read is refused.
func (l *Limits) settle(asked []protocol.Pair, format string) ([]protocol.Pair, error) {
	most := l.clamped(format)
	for name, limit := range most {
		for _, p := range asked {
			if p.Name == name {
				n, err := strconv.ParseFloat(p.Value, 64)
				if err != nil || n < 0 {
					return nil, protocol.Exceptionf(protocol.CodeBadArguments, "the setting %s is no number: %q", name, p.Value)
				}
				if n > 0 && n < limit {
					most[name] = n
				}
			}
		}
	}
	set := slices.Clone(fixed)
	for _, p := range asked {
		switch {
		case most[p.Name] != 0:
		case forwarded[p.Name], strings.HasPrefix(p.Name, outputPrefix) && outputs[strings.TrimPrefix(p.Name, outputPrefix)]:
			set = append(set, p)
		case slices.ContainsFunc(passedOver, func(prefix string) bool { return strings.HasPrefix(p.Name, prefix) }):
		default:
			return nil, protocol.Exceptionf(protocol.CodeReadonly, "Cannot modify '%s' setting here", p.Name)
		}
	}
	// Who asks for so many rows and no more means LIMIT: limits of this door fail, they never cut.
	if rows := most["max_result_rows"]; rows < float64(l.ResultRows) && slices.Contains(asked, protocol.Pair{Name: "result_overflow_mode", Value: "break"}) {
		most["max_result_rows"] = float64(l.ResultRows)
		for _, p := range asked {
			if n, err := strconv.ParseFloat(p.Value, 64); p.Name == "limit" && err == nil && n > 0 {
				rows = min(rows, n)
			}
		}
		set = append(set, protocol.Pair{Name: "limit", Value: limitText(rows)}) // the last of a name counts
	}
	for name, value := range most {
		set = append(set, protocol.Pair{Name: name, Value: limitText(value)})
	}
	return set, nil
}

// limitText writes a limit; only the time has digits behind the point.
func limitText(n float64) string {
	if n < 1 {
		return strconv.FormatFloat(n, 'f', 3, 64)
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

// structure reads the columns of an external table, name Type, …, and writes them again: nothing
// else than names and types is left, no default that would be computed.
func structure(t *protocol.External) error {
	if !externalFormats[t.Format] {
		return protocol.Exceptionf(protocol.CodeUnknownFormat, "the external table %s comes in the format %s; possible are TabSeparated, CSV, JSONEachRow, Native, RowBinary, Arrow, Parquet and their kin", t.Name, t.Format)
	}
	if strings.TrimSpace(t.Name) == "" || plainName(quoted, []byte(t.Name)) != nil || strings.Contains(t.Name, ".") {
		return refusal("%q cannot be the name of an external table", t.Name)
	}
	var columns []string
	if t.Structure == "" {
		for i, of := range protocol.SplitTypes(t.Types) {
			columns = append(columns, "_"+strconv.Itoa(i+1)+" "+of)
		}
	} else {
		columns = protocol.SplitTypes(t.Structure)
	}
	for i, column := range columns {
		r := reader{text: []byte(column)}
		if err := r.split(); err != nil {
			return err
		}
		// A name, a word, and perhaps one pair of brackets to the end: Array(Tuple(a UInt8)), Enum8('x' = 1).
		n := len(r.tokens)
		ok := n >= 2 && (r.tokens[0].kind == word || r.tokens[0].kind == quoted) && r.tokens[1].kind == word
		if ok && n > 2 {
			ok = r.is(2, '(') && r.is(n-1, ')')
			for _, t := range r.tokens[min(3, n):max(3, n-1)] {
				ok = ok && t.depth > 0 && (t.kind != symbol || strings.IndexByte("(),=-", r.text[t.at]) >= 0)
			}
		}
		if !ok {
			return refusal("the external table %s: column %d, %.60q, is not a name and a type", t.Name, i+1, column)
		}
		// In backticks a name is a name, also PRIMARY, INDEX and PROJECTION.
		columns[i] = "`" + r.of(0) + "` " + strings.TrimSpace(string(r.text[r.tokens[1].at:]))
	}
	if len(columns) == 0 {
		return protocol.Exceptionf(protocol.CodeBadArguments, "the external table %s has neither a structure nor types", t.Name)
	}
	t.Structure, t.Types = strings.Join(columns, ", "), ""
	return nil
}
