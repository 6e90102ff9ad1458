package mapping

import (
	"context"
	"slices"
	"strings"

	"ombor/internal/problem"
)

// longRows turns every row of wide into one row for each group of columns. Its columns
// are those that the pattern does not match, the pattern's groups, and the measures.
// A group whose cells are all empty gives no row, unless the declaration keeps it.
type longRows struct {
	wide    rows
	names   []string
	kept    []int // wide columns that stay
	groups  []longGroup
	empty   map[string]bool
	trim    bool
	keep    bool // also groups whose cells are all empty
	cells   [][]byte
	current [][]byte // cells of the wide row being turned; nil: the next has to be read
	turn    int
}

// longGroup is one group of columns: where the texts of the pattern's groups and the
// cells of the measures come from.
type longGroup struct {
	texts    [][]byte
	measures []int // wide column of every measure, -1 where the group has none
}

func newLongRows(wide rows, u *unpivot, trim bool, empty []string, file string) (*longRows, error) {
	l := &longRows{wide: wide, trim: trim, keep: u.keep, empty: map[string]bool{"": true}}
	for _, cell := range empty {
		l.empty[cell] = true
	}
	replace := strings.NewReplacer(u.headers...)
	var textNames []string
	for _, name := range u.pattern.SubexpNames() {
		if name != "" && name != measure {
			textNames = append(textNames, name)
		}
	}
	var measures []string
	type cell struct {
		group   string
		measure string
		column  int
	}
	var order []string
	texts := map[string][][]byte{}
	var cells []cell
	for i, header := range wide.columns() {
		m := u.pattern.FindStringSubmatch(replace.Replace(header))
		if m == nil {
			l.names, l.kept = append(l.names, header), append(l.kept, i)
			continue
		}
		var key []byte
		var found [][]byte
		name := ""
		for j, group := range u.pattern.SubexpNames() {
			switch group {
			case "":
			case measure:
				name = m[j]
			default:
				found = append(found, []byte(m[j]))
			}
		}
		key = joinKey(key, found...)
		if _, ok := texts[string(key)]; !ok {
			texts[string(key)] = found
			order = append(order, string(key))
		}
		if !slices.Contains(measures, name) {
			measures = append(measures, name)
		}
		for _, other := range cells {
			if other.group == string(key) && other.measure == name {
				return nil, problem.New(problem.BadInput, "%s: the columns %q and %q are the same measure of the same group; if one header is wrong, unpivot.headers can right it",
					file, wide.columns()[other.column], header)
			}
		}
		cells = append(cells, cell{string(key), name, i})
	}
	if len(cells) == 0 {
		return nil, problem.New(problem.BadInput, "%s: no column matches unpivot.columns %q; the columns are %s", file, u.pattern, quoteAll(wide.columns()))
	}
	for _, key := range order {
		g := longGroup{texts: texts[key], measures: make([]int, len(measures))}
		for i, name := range measures {
			g.measures[i] = -1
			for _, c := range cells {
				if c.group == key && c.measure == name {
					g.measures[i] = c.column
				}
			}
		}
		l.groups = append(l.groups, g)
	}
	l.names = slices.Concat(l.names, textNames, measures)
	if name := twice(l.names); name != "" {
		return nil, problem.New(problem.BadInput, "%s: unpivot makes a column %q, and there is one already; rename the group", file, name)
	}
	l.cells = make([][]byte, len(l.names))
	return l, nil
}

func (l *longRows) columns() []string { return l.names }
func (l *longRows) raw() []byte       { return nil }
func (l *longRows) close() error      { return l.wide.close() }
func (l *longRows) at() Place         { return l.wide.at() }

func (l *longRows) date1904() bool { return isDate1904(l.wide) }

func (l *longRows) next(ctx context.Context) ([][]byte, error) {
	for {
		if l.current == nil {
			wide, err := l.wide.next(ctx)
			if err != nil {
				return nil, err
			}
			l.current, l.turn = wide, 0
			for i, column := range l.kept {
				l.cells[i] = wide[column]
			}
		}
		for l.turn < len(l.groups) {
			g := &l.groups[l.turn]
			l.turn++
			at := len(l.kept) + copy(l.cells[len(l.kept):], g.texts)
			reported := l.keep
			for i, column := range g.measures {
				l.cells[at+i] = nil
				if column >= 0 {
					l.cells[at+i] = l.current[column]
					reported = reported || !l.empty[string(trimmed(l.current[column], l.trim))]
				}
			}
			if reported {
				return l.cells, nil
			}
		}
		l.current = nil
	}
}

// isDate1904 says whether serial numbers of dates count from 1904, as workbooks that
// were made on old Macs have it.
func isDate1904(r rows) bool {
	s, ok := r.(interface{ date1904() bool })
	return ok && s.date1904()
}
