package engine
import ("testing";"fmt";"os";"time";"unsafe")
func exceptionOf(s string) error { return fmt.Errorf("%s", s) }
func TestExplore(t *testing.T) {
	path, _ := FindLibrary("")
	lib, err := open(path)
	if err != nil { t.Fatal(err) }
	keepSignalHandlers(func(){ lib.setSignalHandlers(0) })
	dir := t.TempDir()
	os.WriteFile(dir+"/c.xml", []byte(`<clickhouse><timezone>UTC</timezone><display_name>ombor</display_name></clickhouse>`), 0600)
	base := []string{"--path="+dir+"/d","--config-file="+dir+"/c.xml"}
	c, err := lib.dial(base)
	if err != nil { t.Fatal(err) }
	stream := func(c *connection, s, f string) {
		st := time.Now()
		h := c.call(lib.streamQuery, []byte(s), f, nil)
		r := &result{lib, h}
		if e := r.err(); e != nil { fmt.Println(s, "ERR", e, time.Since(st)); r.free(); return }
		fmt.Println(s, f, "init", len(r.bytes()), time.Since(st))
		for i := 0; ; i++ {
			p := &result{lib, lib.fetch(*c.handle, h)}
			if e := p.err(); e != nil { fmt.Println("  FETCH ERR", e); p.free(); break }
			b := p.bytes()
			if len(b) == 0 { fmt.Printf("  end %+v %v\n", p.counts(), time.Since(st)); p.free(); break }
			a, z := b, b
			if len(a) > 90 { a, z = a[:90], z[len(z)-60:] }
			if i < 3 { fmt.Printf("  %d %q ... %q %+v\n", len(b), a, z, p.counts()) }
			p.free()
		}
		r.free()
	}
	q := func(c *connection, s, f string) {
		st := time.Now()
		r, err := c.run([]byte(s), f, nil)
		if err != nil { fmt.Printf("%-60s ERR %v\n", s, err); return }
		fmt.Printf("%-60s %s %v %+v\n", s, r.bytes(), time.Since(st), r.counts())
		r.free()
	}
	_ = unsafe.Pointer(nil)
	for _, f := range []string{"JSON","CSVWithNames","Parquet","ArrowStream","Native","JSONEachRow","Pretty","XML","JSONCompact", "ORC", "Values", "JSONColumnsWithMetadata"} {
	stream(c, "select number from numbers(150000)", f)
	}
	stream(c, "select number from numbers(3) where 0", "Native")
	stream(c, "select number from numbers(3) where 0", "JSON")
	stream(c, "select number, count() from numbers(3) group by number with totals", "JSON")
	stream(c, "select throwIf(number=100000) from numbers(200000)", "Native")
	stream(c, "create table t(a Int32, s String) engine=MergeTree order by a", "Native")
	stream(c, "insert into t values (1,'a')", "Native")
	stream(c, "insert into t format CSV\n1,b\n", "Native")
	stream(c, "select * from t", "TSV")
	stream(c, "show tables", "TSV")
	stream(c, "describe t", "TSV")
	stream(c, "explain select 1", "TSV")
	stream(c, "system flush logs", "TSV")
	stream(c, "kill query where 1=0 async", "TSV")
	stream(c, "select * from nope", "TSV")
	stream(c, "selec", "TSV")
	stream(c, "optimize table t final", "TSV")
	stream(c, "set max_threads=1", "TSV")
	stream(c, "select getSetting('max_threads')", "TSV")
	q(c, "set log_comment='x', max_block_size=10", "Native")
	q(c, "use system", "Native")
	q(c, "use default", "Native")
	q(c, "create temporary table tt (a Int32)", "Native")
	q(c, "insert into tt values (1)", "Native")
	q(c, "select * from tt", "TSV")
	q(c, "select timezone(), displayName(), name, value from system.server_settings where changed", "TSV")
	c2, _ := lib.dial(base)
	q(c2, "select * from tt", "TSV")
	q(c2, "set readonly=1, max_threads=2", "TSV")
	q(c2, "select getSetting('max_threads')", "TSV")
	q(c2, "set max_threads=3", "TSV")
	q(c2, "insert into t values (1, 'c')", "TSV")
	q(c2, "set nonsense=3", "TSV")
	q(c2, "SELECT 1 FROM (SELECT", "TSV")
	fmt.Println(os.Getpid())
	c2.close()
	c.close()
}
