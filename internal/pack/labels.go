package pack

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"ombor/internal/reference"
)

// readLabels reads labels/<language>.yaml: words by dotted key, nested as one likes. Every
// language has the same keys, and every group of a KPI has its words.
func (r *reader) readLabels(p *Pack) {
	lines := map[string]map[string]int{}
	r.each("labels", func(d *decoder, root *yaml.Node) {
		tag := strings.TrimSuffix(strings.TrimPrefix(d.file, "labels/"), ".yaml")
		if !slices.Contains(p.Languages, tag) {
			d.add(0, "", "%q is no language of the pack; its languages: %s", tag, strings.Join(p.Languages, ", "))
			return
		}
		words, at := map[string]string{}, map[string]int{}
		flatten(d, root, tag, "", words, at)
		p.Labels[tag], lines[tag] = words, at
	})
	needed := map[string]string{} // key → who needs it
	for tag, words := range p.Labels {
		for key := range words {
			needed[key] = "labels/" + tag + ".yaml has it"
		}
	}
	for _, k := range p.KPIs {
		if k.Unit != "" && !k.Unit.Known() {
			needed["unit."+string(k.Unit)] = k.File + " needs it"
		}
		if k.Group != "" {
			needed["group."+k.Group] = k.File + " needs it"
		}
	}
	for _, key := range sortedKeys(needed) {
		for _, tag := range p.Languages {
			if p.Labels[tag][key] == "" {
				parent, word := "", key
				if at := strings.LastIndex(key, "."); at >= 0 {
					parent, word = key[:at], key[at+1:]
				}
				r.issues.Add("labels/"+tag+".yaml", beside(lines[tag], key, parent), key, "has no words, but %s; write “%s: …” under “%s:”", needed[key], word, parent)
			}
		}
	}
}

// beside is the line of a key, or of the last of those beside which it belongs, or the last of all; 0 in an
// empty file.
func beside(lines map[string]int, key, parent string) int {
	if at, ok := lines[key]; ok {
		return at
	}
	sibling, last := 0, 0
	for other, line := range lines {
		if last = max(last, line); strings.HasPrefix(other, parent+".") {
			sibling = max(sibling, line)
		}
	}
	return cmp.Or(sibling, last)
}

func flatten(d *decoder, n *yaml.Node, tag, path string, words map[string]string, lines map[string]int) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			flatten(d, n.Content[i+1], tag, join(path, n.Content[i].Value), words, lines)
		}
	default:
		lines[path] = n.Line
		if text, ok := d.text(n, path, "text"); ok {
			if _, twice := words[path]; twice {
				d.add(n.Line, path, "the key stands twice")
			}
			words[path] = reference.Clean(text, tag)
		}
	}
}
