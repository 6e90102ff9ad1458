package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sync/errgroup"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// Migrate brings databases, fact tables and rollups to what the pack's contracts
// and KPIs ask for; fills rollups that are new or changed from the facts, and adds to
// any rollup what a crash kept from it. It is idempotent and may be interrupted at
// any point; call it before the loader starts. A change that a contract cannot make
// within its major version is a Conflict error that names every such field; nothing
// was changed then. A formula that sums floats is a BadInput error.
func (w *Warehouse) Migrate(ctx context.Context) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	if err := w.migrateFixed(ctx); err != nil {
		return err
	}
	if err := w.migrateFacts(ctx); err != nil {
		return err
	}
	return w.migrateRollups(ctx)
}

func (w *Warehouse) migrateFixed(ctx context.Context) error {
	fill := strings.NewReplacer("{facts}", name(w.databases.facts), "{rollups}", name(w.databases.rollups), "{meta}", name(w.databases.meta), "{ombor}", name(w.databases.ombor))
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return problem.Wrap(err, problem.Internal, "warehouse: migrate", "the migrations cannot be read")
	}
	sort.Strings(files)
	ran := map[string]string{}
	var there uint64
	err = w.each(ctx, "warehouse: migrate", "SELECT count() FROM system.tables WHERE database = {meta:String} AND name = 'migrations'",
		map[string]string{"meta": w.databases.meta}, func(scan Scan) error { return scan(&there) })
	if err != nil {
		return err
	}
	if there > 0 {
		err = w.each(ctx, "warehouse: migrate", "SELECT name, any(digest) FROM "+name(w.databases.meta)+".migrations GROUP BY name", nil, func(scan Scan) error {
			var file, digest string
			err := scan(&file, &digest)
			ran[file] = digest
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, file := range files {
		text, err := migrations.ReadFile(file)
		if err != nil {
			return problem.Wrap(err, problem.Internal, "warehouse: migrate", "%s cannot be read", file)
		}
		sum := sha256.Sum256(text)
		digest := hex.EncodeToString(sum[:])
		switch before := ran[file]; before {
		case digest:
			continue
		case "":
		default:
			return problem.New(problem.Conflict, "the migration %s is not the one that this warehouse ran; it was made by another build of ombor", file)
		}
		for statement := range strings.SplitSeq(comments.ReplaceAllString(string(text), ""), ";") {
			if statement = strings.TrimSpace(statement); statement == "" {
				continue
			}
			if err := w.exec(ctx, "warehouse: "+file, nil, fill.Replace(statement)); err != nil {
				return err
			}
		}
		insert := fmt.Sprintf("INSERT INTO %s.migrations (name, digest) VALUES (%s, %s)", name(w.databases.meta), literal(file), literal(digest))
		if strings.HasSuffix(file, "0001_databases.sql") {
			continue // the table to note it in does not exist yet; it is idempotent
		}
		if err := w.exec(ctx, "warehouse: "+file, settings{"async_insert": 0}, insert); err != nil {
			return err
		}
	}
	return nil
}

var comments = regexp.MustCompile(`(?m)^--.*$`)

// found is a column as the engine has it.
type found struct{ kind, about string }

func (w *Warehouse) migrateFacts(ctx context.Context) error {
	tables := map[string]map[string]found{}
	err := w.each(ctx, "warehouse: migrate", "SELECT table, name, type, comment FROM system.columns WHERE database = {facts:String}",
		map[string]string{"facts": w.databases.facts}, func(scan Scan) error {
			var table, column string
			var f found
			if err := scan(&table, &column, &f.kind, &f.about); err != nil {
				return err
			}
			if tables[table] == nil {
				tables[table] = map[string]found{}
			}
			tables[table][column] = f
			return nil
		})
	if err != nil {
		return err
	}
	var refusals []string
	statements := make([][]string, len(w.contracts)) // those of one table stay in their order
	for i, c := range w.contracts {
		there, ok := tables[c.Table()]
		if !ok {
			statements[i] = []string{w.createFacts(c, c.Table())}
			continue
		}
		change, refused := w.evolve(c, there)
		statements[i] = change
		refusals = append(refusals, refused...)
	}
	if len(refusals) > 0 {
		return problem.New(problem.Conflict, "the pack is not the one that this data was loaded with. These changes need a new major version of the contract beside the old one, or an empty data folder:\n%s", strings.Join(refusals, "\n"))
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, list := range statements {
		group.Go(func() error {
			for _, statement := range list {
				if err := w.exec(inner, "warehouse: migrate facts", nil, statement); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return w.sortFacts(ctx)
}

// sortFacts brings facts that an earlier build sorted by (…, time) into the order of
// sortKey: month by month into a twin, which then takes the table's place. Cut short, it
// begins again. A contract that changed later leaves the order of its facts as it was.
func (w *Warehouse) sortFacts(ctx context.Context) error {
	keys := map[string]string{} // table → sort key
	err := w.each(ctx, "warehouse: migrate", "SELECT name, sorting_key FROM system.tables WHERE database = {facts:String}",
		map[string]string{"facts": w.databases.facts}, func(scan Scan) error {
			var table, key string
			err := scan(&table, &key)
			keys[table] = key
			return err
		})
	if err != nil {
		return err
	}
	for _, c := range w.contracts {
		twin := c.Table() + "__sorted"
		place := name(w.databases.facts) + "." + name(twin)
		drop := "DROP TABLE IF EXISTS " + place
		if _, ok := keys[twin]; ok { // of a migration that was cut short
			if err := w.exec(ctx, "warehouse: migrate facts", nil, drop); err != nil {
				return err
			}
		}
		if key := keys[c.Table()]; key == "" || strings.HasSuffix(key, "_seq") { // new, or in order
			continue
		}
		months, err := w.months(ctx, c)
		if err != nil {
			return err
		}
		slog.Info("warehouse: sorting facts anew; this happens once", "table", c.Table())
		if err := w.exec(ctx, "warehouse: sort "+c.Table(), nil, w.createFacts(c, twin)); err != nil {
			return err
		}
		for _, m := range months {
			statement := fmt.Sprintf("INSERT INTO %s (%[2]s) SELECT %[2]s FROM %s WHERE toYYYYMM(_cut) = %d", place, names(Columns(c)), w.Facts(c), m.month)
			if err := w.exec(ctx, "warehouse: sort "+c.Table(), settings{"async_insert": 0, "insert_deduplicate": 0, "max_execution_time": 0}, statement); err != nil {
				return err
			}
		}
		for _, statement := range []string{"EXCHANGE TABLES " + place + " AND " + w.Facts(c), drop} {
			if err := w.exec(ctx, "warehouse: place "+c.Table(), nil, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// evolve compares a contract with its table: the statements that bring the table
// along, and what no statement can.
func (w *Warehouse) evolve(c *contract.Contract, there map[string]found) (statements, refusals []string) {
	after := ""
	for _, col := range factColumns(c) {
		have, ok := there[col.name]
		switch f := c.Field(col.name); {
		case !ok && (f == nil || f.Required):
			refusals = append(refusals, fmt.Sprintf("%s: %s is new and required; a new field must be optional", c.Type, col.name))
		case !ok:
			statements = append(statements, fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s AFTER %s", w.Facts(c), col.definition(), name(after)))
		case have.kind != col.kind:
			refusals = append(refusals, fmt.Sprintf("%s: %s was %s and would become %s", c.Type, col.name, have.kind, col.kind))
		case have.about != col.about:
			statements = append(statements, fmt.Sprintf("ALTER TABLE %s COMMENT COLUMN %s %s", w.Facts(c), name(col.name), literal(col.about)))
		}
		after = col.name
	}
	for column := range there {
		if !slices.Contains(Columns(c), column) {
			refusals = append(refusals, fmt.Sprintf("%s: %s is gone; a field that was once sent stays, as an optional one", c.Type, column))
		}
	}
	sort.Strings(refusals)
	return statements, refusals
}

func (w *Warehouse) migrateRollups(ctx context.Context) error {
	if err := w.settle(ctx); err != nil {
		return err
	}
	w.asides.change(func(of map[asideKey]asideOf) {
		for key, a := range of {
			a.again = true
			of[key] = a
		}
	})
	there := map[string]string{} // table → hash of its definition
	err := w.each(ctx, "warehouse: migrate", "SELECT name, comment FROM system.tables WHERE database = {rollups:String}",
		map[string]string{"rollups": w.databases.rollups}, func(scan Scan) error {
			var table, comment string
			err := scan(&table, &comment)
			_, there[table], _ = strings.Cut(comment, "definition ")
			return err
		})
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	months := map[*contract.Contract][]monthBatch{}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, r := range w.rollups {
		wanted[r.Name] = true
		if hash := w.hash(r); there[r.Name] != hash {
			_, replaces := there[r.Name]
			if err := w.keepFigures(ctx, r.Contract); err != nil {
				return err
			}
			of, asked := months[r.Contract]
			if !asked {
				if of, err = w.months(ctx, r.Contract); err != nil {
					return err
				}
				months[r.Contract] = of
			}
			group.Go(func() error { return w.makeRollup(inner, r, hash, replaces, of) })
		}
	}
	for _, d := range w.distincts {
		if wanted[d.table] = true; there[d.table] == "" {
			group.Go(func() error { return w.exec(inner, "warehouse: make "+d.table, nil, w.createDistinct(d)) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := w.migrateMonths(ctx, there, wanted); err != nil {
		return err
	}
	w.asides.change(func(of map[asideKey]asideOf) {
		maps.DeleteFunc(of, func(_ asideKey, a asideOf) bool { return a.again })
		w.asides.tried++
	})
	if err := w.noteAside(ctx, nil); err != nil {
		return err
	}
	for table := range there {
		if !wanted[table] {
			if err := w.exec(ctx, "warehouse: migrate", nil, "DROP TABLE IF EXISTS "+name(w.databases.rollups)+"."+name(table)); err != nil {
				return err
			}
		}
	}
	return w.catchUp(ctx)
}

// atOnce is how many tables are made or checked side by side: most of it is waiting.
const atOnce = 4

// makeRollup fills the rollup under another name from the facts of the months and then puts it in
// its place; where there is nothing yet it is made in its place at once.
func (w *Warehouse) makeRollup(ctx context.Context, r *Rollup, hash string, replaces bool, months []monthBatch) error {
	if len(months) == 0 && !replaces {
		return w.exec(ctx, "warehouse: make "+r.Name, nil, w.create(r, r.Name, w.definition(r, hash)))
	}
	next := name(w.databases.rollups) + "." + name(r.Name+"__next")
	if len(months) > 0 {
		slog.Info("warehouse: filling a rollup from facts", "rollup", r.Name)
	}
	run := func(statements ...string) error {
		for _, statement := range statements {
			var with settings
			if strings.HasPrefix(statement, "INSERT") {
				with = wholeBlock
			}
			if err := w.exec(ctx, "warehouse: make "+r.Name, with, statement); err != nil {
				return err
			}
		}
		return nil
	}
	if err := w.orAside(ctx, r.Contract, "1", func() error {
		statements := []string{"DROP TABLE IF EXISTS " + next, w.create(r, r.Name+"__next", w.definition(r, hash))}
		for _, m := range months {
			statements = append(statements, "INSERT INTO "+next+" "+w.fill(r, fmt.Sprintf("toYYYYMM(_cut) = %d", m.month)))
		}
		return run(statements...)
	}); err != nil {
		return err
	}
	if replaces {
		return run("EXCHANGE TABLES "+next+" AND "+w.Table(r), "DROP TABLE "+next)
	}
	return run("RENAME TABLE " + next + " TO " + w.Table(r))
}

type monthBatch struct {
	month uint32
	batch uint64
}

// months are the months of receipt of a contract's facts with their highest batch.
func (w *Warehouse) months(ctx context.Context, c *contract.Contract) ([]monthBatch, error) {
	var list []monthBatch
	err := w.each(ctx, "warehouse: months", "SELECT toYYYYMM(_cut) AS month, max(_batch) FROM "+w.Facts(c)+" GROUP BY month ORDER BY month", nil, func(scan Scan) error {
		var m monthBatch
		err := scan(&m.month, &m.batch)
		list = append(list, m)
		return err
	})
	return list, err
}

// catchUp applies what a crash between facts and rollups left undone.
func (w *Warehouse) catchUp(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, c := range w.contracts {
		group.Go(func() error {
			months, err := w.months(ctx, c)
			if err != nil {
				return err
			}
			for _, m := range months {
				if err := w.ApplyRollups(ctx, c, dayOfMonth(m.month), m.batch); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// settle asks the engine for the type of every measure, and refuses what it cannot
// sum exactly.
func (w *Warehouse) settle(ctx context.Context) error {
	var issues problem.Issues
	for _, c := range w.contracts {
		var open []*measure
		for _, r := range w.Rollups(c) {
			for i := range r.measures {
				if r.measures[i].kind == "" {
					open = append(open, &r.measures[i])
				}
			}
		}
		kinds, err := w.typesOf(ctx, c, open)
		if problem.KindOf(err) == problem.Internal && err != nil { // one of them is wrong: which?
			for _, m := range open {
				one, err := w.typesOf(ctx, c, []*measure{m})
				if problem.KindOf(err) == problem.Internal && err != nil {
					issues.Add(c.Type, 0, "", "%s: the engine does not take it: %v", m.about, err)
				} else if err != nil {
					return err
				}
				maps.Copy(kinds, one)
			}
		} else if err != nil {
			return err
		}
		for _, m := range open {
			kind, known := kinds[m.expr]
			kind = strings.TrimSuffix(strings.TrimPrefix(kind, "Nullable("), ")")
			if strings.HasPrefix(kind, "Decimal(") && !strings.HasSuffix(kind, ")") {
				kind += ")"
			}
			if known && kind != "Int64" && !strings.HasPrefix(kind, "Decimal(") {
				issues.Add(c.Type, 0, "", "%s is a %s: only sums of whole numbers and decimals are kept, since floats change with the order in which they are added", m.about, kind)
				continue
			}
			m.kind = kind
		}
	}
	return issues.Err()
}

// typesOf asks for the types of measures in one statement, by their expressions.
func (w *Warehouse) typesOf(ctx context.Context, c *contract.Contract, list []*measure) (map[string]string, error) {
	kinds := map[string]string{}
	var expressions, types, inputs []string
	for _, m := range list {
		if !slices.Contains(expressions, m.expr) {
			expressions, types, inputs = append(expressions, m.expr), append(types, "toTypeName("+m.expr+")"), append(inputs, m.inputs...)
		}
	}
	if len(expressions) == 0 {
		return kinds, nil
	}
	err := w.each(ctx, "warehouse: types", "SELECT ["+strings.Join(types, ", ")+"] FROM "+w.From(c, "0", inputs...), nil, func(scan Scan) error {
		var found []string
		err := scan(&found)
		for i, kind := range found {
			kinds[expressions[i]] = kind
		}
		return err
	})
	return kinds, err
}
