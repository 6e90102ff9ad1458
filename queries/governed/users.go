package governed

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ombor/internal/protocol"
)

// Users is the SQL that makes the users of a ClickHouse server behind Ombor, for its administrator to
// run: ombor_writer for --warehouse, ombor_reader for servers that have the role api alone, ombor_analyst
// for --sql-warehouse, and ombor_views, whose rights the analysts' views have and who cannot sign in. Passwords are new each time.
//
// What the door does, the server does a second time: ombor_analyst reads the analysts' database
// and nothing else, changes no setting but those that the door sends, none beyond its limits, and has a quota
// for each principal. prefix stands before the names of the databases.
func Users(prefix string, limits Limits) string {
	limits = limits.withDefaults()
	name := func(database string) string { return protocol.QuoteIdentifier(prefix + database) }
	var b strings.Builder
	say := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	user := func(user, rest string) {
		say("CREATE USER IF NOT EXISTS %s IDENTIFIED WITH sha256_password BY '%s'%s;", user, rand.Text(), rest)
	}
	say("-- Users of a ClickHouse server behind Ombor. Run it once as an administrator; the passwords are in it alone.")
	say("-- The server needs <settings_constraints_replace_previous>true</settings_constraints_replace_previous>, as its own configuration has it.")
	say("")
	for _, database := range []string{"facts", "rollups", "meta", "ombor"} {
		say("CREATE DATABASE IF NOT EXISTS %s;", name(database))
	}
	say("")
	say("-- The owner of the analysts' views: they read facts with its rights, nobody signs in as it.")
	say("CREATE USER IF NOT EXISTS ombor_views HOST NONE;")
	say("GRANT SELECT ON %s.* TO ombor_views;", name("facts"))
	say("GRANT SELECT ON %s.* TO ombor_views;", name("ombor"))
	say("")
	say("-- The writer: ombor serve --warehouse https://ombor_writer:…@HOST:8443")
	say("CREATE SETTINGS PROFILE IF NOT EXISTS ombor_writer SETTINGS async_insert = 0, default_normal_view_sql_security = 'DEFINER', default_view_definer = 'ombor_views';")
	user("ombor_writer", " SETTINGS PROFILE 'ombor_writer'")
	for _, database := range []string{"facts", "rollups", "meta", "ombor"} {
		say("GRANT SELECT, INSERT, ALTER, CREATE, DROP, TRUNCATE, OPTIMIZE ON %s.* TO ombor_writer;", name(database))
	}
	say("GRANT SET DEFINER ON ombor_views TO ombor_writer;")
	for _, table := range []string{"parts", "mutations", "merges", "processes"} {
		say("GRANT SELECT ON system.%s TO ombor_writer;", table)
	}
	say("")
	say("-- The reader of figures: ombor serve --roles api --warehouse https://ombor_reader:…@HOST:8443")
	say("CREATE SETTINGS PROFILE IF NOT EXISTS ombor_reader SETTINGS readonly = 2;")
	user("ombor_reader", " SETTINGS PROFILE 'ombor_reader'")
	for _, database := range []string{"facts", "rollups", "meta", "ombor"} {
		say("GRANT SELECT ON %s.* TO ombor_reader;", name(database))
	}
	say("GRANT SELECT ON system.parts TO ombor_reader;")
	say("")
	say("-- Analysts' statements: ombor serve --sql-warehouse https://ombor_analyst:…@HOST:8443")
	var lines []string
	for _, p := range fixed {
		lines = append(lines, fmt.Sprintf("%s = %s CHANGEABLE_IN_READONLY", p.Name, protocol.QuoteString(p.Value)))
	}
	usual, most := limits.clamped(""), limits.clamped("Parquet")
	for _, setting := range slices.Sorted(maps.Keys(most)) {
		lines = append(lines, fmt.Sprintf("%s = %s MAX %s CHANGEABLE_IN_READONLY", setting, limitText(usual[setting]), limitText(most[setting])))
	}
	for _, setting := range slices.Sorted(maps.Keys(forwarded)) {
		lines = append(lines, setting+" CHANGEABLE_IN_READONLY")
	}
	for _, setting := range slices.Sorted(maps.Keys(outputs)) {
		lines = append(lines, outputPrefix+setting+" CHANGEABLE_IN_READONLY")
	}
	lines = append(lines, filters+" CHANGEABLE_IN_READONLY", barrier+" CHANGEABLE_IN_READONLY", "readonly = 1")
	say("CREATE SETTINGS PROFILE IF NOT EXISTS ombor_analyst SETTINGS\n    %s;", strings.Join(lines, ",\n    "))
	user("ombor_analyst", " SETTINGS PROFILE 'ombor_analyst'")
	say("GRANT SELECT ON %s.* TO ombor_analyst;", name("ombor"))
	say("GRANT CREATE TEMPORARY TABLE ON *.* TO ombor_analyst; -- own lists that come with a statement")
	say("CREATE ROW POLICY IF NOT EXISTS ombor_no_facts ON %s.* USING 0 AS RESTRICTIVE TO ombor_analyst; -- also if somebody grants more", name("facts"))
	say("CREATE QUOTA IF NOT EXISTS ombor_analyst KEYED BY client_key, user_name FOR INTERVAL 1 hour MAX queries = 20000, execution_time = 14400 TO ombor_analyst;")
	return b.String()
}
