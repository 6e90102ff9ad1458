package dashboards

import (
	"context"
	"maps"

	"ombor/internal/kpi"
	"ombor/internal/reference"
)

// targetBody is what an act, a plan or a press release says of a KPI. Only kind
// "target" is a target.
type targetBody struct {
	KPI        string            `json:"kpi"`
	Variant    string            `json:"variant"`
	Kind       string            `json:"kind"`
	Act        string            `json:"act"`
	URL        string            `json:"url"`
	InForce    *string           `json:"in_force"`
	Wording    string            `json:"wording"`
	Comparator string            `json:"comparator"`
	Value      float64           `json:"value"`
	Due        *string           `json:"due"`
	DueStated  bool              `json:"due_stated"`
	Period     spanBody          `json:"period"`
	Owner      string            `json:"owner"`
	OwnerNames reference.Names   `json:"owner_names"`
	Where      map[string]string `json:"where"`
}

// targetsOf lists what was published of a KPI; of every KPI when id is empty.
func (s *server) targetsOf(id string) []targetBody {
	list := []targetBody{}
	organisations := s.config.Pack.Reference.Table("organisations")
	for _, t := range s.config.Pack.Targets {
		if id != "" && t.KPI != id {
			continue
		}
		body := describeTarget(t)
		if organisations != nil {
			if row, ok := organisations.Get(t.Owner); ok {
				body.OwnerNames = names(row.Names)
			}
		}
		list = append(list, body)
	}
	return list
}

func describeTarget(t *kpi.Target) targetBody {
	where := map[string]string{}
	maps.Copy(where, t.Where)
	return targetBody{KPI: t.KPI, Variant: t.Variant, Kind: string(t.Kind), Act: t.Act.Title, URL: t.Act.URL, InForce: dayText(t.Act.InForce), Wording: t.Wording,
		Comparator: string(t.Comparator), Value: t.Value, Due: dayText(t.Due), DueStated: t.DueStated, Period: span(t.Period), Owner: t.Owner,
		OwnerNames: reference.Names{}, Where: where}
}

func (s *server) getTargets(context.Context, *query) (*answer, error) {
	list := s.targetsOf("")
	return &answer{body: map[string]any{"targets": list}, name: "targets", table: func() (*table, error) {
		t := newTable(text("kpi"), text("variant"), text("kind"), text("comparator"), number("value"), text("due"), flag("due_stated"), text("wording"), text("act"), text("in_force"), text("url"), text("owner"))
		for _, target := range list {
			t.add(target.KPI, target.Variant, target.Kind, target.Comparator, target.Value, optional(target.Due), target.DueStated, target.Wording, target.Act, optional(target.InForce), target.URL, target.Owner)
		}
		return t, nil
	}}, nil
}
