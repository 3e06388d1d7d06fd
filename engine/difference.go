package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// mostNamed is how many members of a group a difference names.
const mostNamed = 5

// Differences says what an edit of the policy file changed, a sentence each:
// policies by their id, groups by their members, recipients' own lists, and
// other sections by their name.
func Differences(before, after *Set) []string {
	a, b := before.orEmpty().file, after.orEmpty().file
	var all []string
	for _, section := range sections {
		all = append(all, policyDifferences(a.policies[section], b.policies[section])...)
	}
	all = append(all, groupDifferences(a.groups, b.groups)...)
	all = append(all, managedDifferences(a.managed, b.managed)...)
	for _, s := range []struct {
		name string
		same bool
	}{
		{"internal_domains", maps.Equal(a.internal, b.internal)}, {"free_mail_domains", maps.Equal(a.freeMail, b.freeMail)},
		{"authorised_outbound", slices.Equal(a.outbound, b.outbound)}, {"auto_allow", slices.Equal(a.autoAllow, b.autoAllow)},
		{"attributes", slices.Equal(a.attributes, b.attributes)}, {"defaults", a.defaults == b.defaults},
		{"engine", fmt.Sprintf("%+v", a.engine) == fmt.Sprintf("%+v", b.engine)},
	} {
		if !s.same {
			all = append(all, s.name+" was edited")
		}
	}
	return all
}

func policyDifferences(before, after []Policy) []string {
	text := func(p Policy) string { p.Origin = ""; return fmt.Sprintf("%+v", p) }
	old := map[string]Policy{}
	for _, p := range before {
		old[p.ID] = p
	}
	var all []string
	for _, p := range after {
		was, known := old[p.ID]
		switch delete(old, p.ID); {
		case !known:
			all = append(all, "policy "+p.ID+" was added")
		case p.Disabled != was.Disabled && p.Disabled:
			all = append(all, "policy "+p.ID+" was disabled")
		case p.Disabled != was.Disabled:
			all = append(all, "policy "+p.ID+" was enabled")
		case text(p) != text(was):
			all = append(all, "policy "+p.ID+" was edited")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(old)) {
		all = append(all, "policy "+id+" was deleted")
	}
	return all
}

func groupDifferences(before, after map[string][]string) []string {
	var all []string
	names := slices.Collect(maps.Keys(before))
	for name := range after {
		if _, known := before[name]; !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if gone := without(before[name], after[name]); len(gone) > 0 {
			all = append(all, fmt.Sprintf("group %s lost %s", name, named(gone)))
		}
		if new := without(after[name], before[name]); len(new) > 0 {
			all = append(all, fmt.Sprintf("group %s gained %s", name, named(new)))
		}
	}
	return all
}

// without gives the members of one list that another lacks.
func without(list, other []string) []string {
	known := make(map[string]bool, len(other))
	for _, m := range other {
		known[m] = true
	}
	var left []string
	for _, m := range list {
		if !known[m] {
			left = append(left, m)
		}
	}
	return left
}

func named(members []string) string {
	if more := len(members) - mostNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(members[:mostNamed], ", "), more)
	}
	return strings.Join(members, ", ")
}

func managedDifferences(before, after []ManagedEntry) []string {
	old := map[[2]string]string{}
	for _, e := range before {
		old[[2]string{e.Recipient, e.Sender}] = e.Action
	}
	var all []string
	for _, e := range after {
		pair := [2]string{e.Recipient, e.Sender}
		switch was, known := old[pair]; {
		case !known:
			all = append(all, fmt.Sprintf("%s of %s was added to the list of %s", e.Action, e.Sender, e.Recipient))
		case was != e.Action:
			all = append(all, fmt.Sprintf("the entry %s of %s became %s", e.Sender, e.Recipient, e.Action))
		}
		delete(old, pair)
	}
	for _, e := range before {
		if action, gone := old[[2]string{e.Recipient, e.Sender}]; gone {
			all = append(all, fmt.Sprintf("%s of %s was taken off the list of %s", action, e.Sender, e.Recipient))
		}
	}
	return all
}
