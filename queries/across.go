package queries

import (
	"slices"
	"strings"

	"ombor/internal/contract"
)

// Rules about rows beside other rows.
const (
	sentAgain       = "sent-again"
	baselineDiffers = "baseline-differs"
	unknownProject  = "unknown-project"
)

// Projects lets an examiner look at the projects of a pack, too; nil: it has none.
func (y *Quality) Projects(declared *contract.Portfolio) { y.projects = declared }

// across are the doubts about rows of a contract that others raise: rows of its own that tell the same, and what the portfolio
// knows of their project. A row is told as long as it stands, whatever becomes of the others.
func (y *Quality) across(c *contract.Contract) []doubt {
	var list []doubt
	facts := y.warehouse.Facts
	if len(c.Once) > 0 {
		var told, values []string
		for _, name := range c.Once {
			if told = append(told, present(c, name)); !c.Field(name).EmptyIsAbsent() {
				name = "assumeNotNull(" + quote(name) + ")"
			} else {
				name = quote(name)
			}
			values = append(values, name)
		}
		thing, have := "sipHash128("+strings.Join(values, ", ")+")", strings.Join(told, " AND ")
		several := "(SELECT " + thing + " FROM " + facts(c) + " WHERE " + have + " GROUP BY 1 HAVING sum(toInt64(_sign)) > 1)"
		first := "(SELECT Thing, argMin(Id, tuple(At, Id)) FROM (SELECT " + thing + " AS Thing, _id AS Id, min(time) AS At FROM " + facts(c) +
			" WHERE " + have + " AND Thing IN " + several + " GROUP BY Thing, Id HAVING sum(toInt64(_sign)) > 0) GROUP BY Thing)"
		list = append(list, doubt{sentAgain, have + " AND " + thing + " IN " + several + " AND (" + thing + ", _id) NOT IN " + first, c.Once,
			"%s, “%s”: avval aytilganini takrorlagan yozuvlar: %d ta; yuboruvchi ularni qaytarib olishi kerak.",
			"%s, «%s»: записей, повторяющих уже сказанное: %d; отправителю нужно их отозвать.",
			"%s, “%s”: rows that tell once more what was told: %d; the sender withdraws them."})
	}
	role, ok := y.projects.Role(c)
	if !ok {
		return list
	}
	standing := func(c *contract.Contract) string {
		return facts(c) + " WHERE _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM " + facts(c) + " WHERE _sign < 0)"
	}
	text := func(field string) string { return "toString(" + quote(field) + ")" }
	if plan := y.projects.Contracts[contract.RolePlanned]; role.Name == contract.RoleReached && plan != nil && c.Field("baseline") != nil {
		key := text("project") + ", " + text("milestone")
		told := "isNotNull(`baseline`) AND "
		list = append(list, doubt{baselineDiffers, told + "(" + key + ") IN (SELECT " + key + " FROM " + standing(plan) + ") AND (" + key + ", assumeNotNull(`baseline`)) NOT IN (SELECT " +
			key + ", argMin(assumeNotNull(`due`), tuple(time, _seq)) FROM " + standing(plan) + " GROUP BY 1, 2)", []string{"baseline"},
			"%s, “%s”: dastlabki muddati rejadagi birinchi muddatga teng boʻlmagan yozuvlar: %d ta; yuboruvchi muddatni, reja notoʻgʻri boʻlsa rejani tuzatishi kerak.",
			"%s, «%s»: записей, где первый срок не равен первой дате плана: %d; отправителю нужно исправить срок, а если неверен план — план.",
			"%s, “%s”: rows whose baseline is not the first date of the plan: %d; the sender corrects the baseline, or the plan if that is wrong."})
	}
	var declared []string
	for _, name := range []string{contract.RoleRecommended, contract.RoleAccepted, contract.RoleRegistered} {
		if d := y.projects.Contracts[name]; d != nil && name != role.Name {
			declared = append(declared, "SELECT "+text("project")+" FROM "+standing(d))
		} else if d != nil {
			return list // it declares the project itself
		}
	}
	var unknown, fields []string
	for _, f := range role.Fields {
		if projects := []string{"project", "other"}; slices.Contains(projects, f.Name) && c.Field(f.Name) != nil {
			unknown, fields = append(unknown, present(c, f.Name)+" AND "+text(f.Name)+" NOT IN ("+strings.Join(declared, " UNION ALL ")+")"), append(fields, f.Name)
		}
	}
	if len(unknown) > 0 && len(declared) > 0 {
		list = append(list, doubt{unknownProject, "(" + strings.Join(unknown, " OR ") + ")", fields,
			"%s, “%s”: hech kim tavsiya etmagan, qabul qilmagan va roʻyxatga olmagan loyihalarga oid yozuvlar: %d ta; yuboruvchi loyihani roʻyxatga olishi yoki uning raqamini tuzatishi kerak.",
			"%s, «%s»: записей о проектах, которые никто не рекомендовал, не принял и не зарегистрировал: %d; отправителю нужно зарегистрировать проект или исправить его номер.",
			"%s, “%s”: rows of projects that nobody has recommended, accepted or registered: %d; the sender registers the project, or corrects its number."})
	}
	return list
}
