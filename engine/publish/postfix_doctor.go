package publish

import (
	"context"
	"slices"
	"strings"

	"mailwhy/engine/mail"
)

// Doctor looks whether main.cf asks a sender access map, whether an entry of it
// can win there, and which checks stand before it: what those refuse, no entry
// of the map can lift.
func (o PostfixOptions) Doctor(ctx context.Context) []Finding {
	rules, err := ReadPostfixRules(ctx, o.ConfigDir, nil)
	if err != nil {
		return []Finding{wrong("postconf cannot be asked: %v", err)}
	}
	table := "check_sender_access " + o.Type + ":" + o.Path
	at := slices.IndexFunc(rules.Checks, func(c SiteCheck) bool { return c.Name == table })
	if at < 0 {
		return []Finding{wrong("main.cf does not ask the map: put `%s` into smtpd_sender_restrictions, before every other check of the sender", table)}
	}
	f := []Finding{fine("%s asks %s", rules.Checks[at].List, table)}
	f = append(f, o.standBefore(rules.Checks[:at], rules.Checks[at].List)...)
	f = append(f, o.cannotWin(rules.Checks, at)...)
	if d := rules.Checks[at].Delimiters; d != "" {
		f = append(f, fine("recipient_delimiter is %q: an entry for a@d counts for a%sx@d as well", d, d[:1]))
	}
	if o.Type != "texthash" && !postfixMap(o).built() {
		f = append(f, wrong("the database of %s does not exist: run postmap %s:%s", o.Path, o.Type, o.Path))
	}
	return append(f, writable(o.Path)...)
}

// standBefore names what is asked before the map. What ends its list for every
// client leaves the map unasked.
func (o PostfixOptions) standBefore(checks []SiteCheck, list string) []Finding {
	var names []string
	for _, c := range checks {
		everyone := slices.ContainsFunc(c.Entries, func(e SiteEntry) bool {
			return e.Key == "0.0.0.0/0" && (e.Action == "reject" || e.Action == "permit" || e.Action == "defer")
		})
		if everyone && (c.List == list || c.Entries[0].Action != "permit") {
			return []Finding{wrong("%s stands before it in %s and decides everything: the map is never asked, no entry can win", c.Name, c.List)}
		}
		if c.Check != "auth_destination" && c.Name != "permit_mynetworks" {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Finding{fine("before it stand %s: what they refuse an entry here cannot lift", strings.Join(names, ", "))}
}

// cannotWin names the published entries whose sender another map refuses, and
// a map that refuses nobody: DUNNO hides entries of the same map alone.
func (o PostfixOptions) cannotWin(checks []SiteCheck, at int) []Finding {
	var f []Finding
	ours, rest, err := (block{o.Path}).read()
	if err != nil {
		return nil // writable says it
	}
	refuses := func(action string) bool { return action != "permit" && action != "dunno" }
	if !slices.ContainsFunc(logicalLines(rest), func(l logicalLine) bool {
		_, value, _ := strings.Cut(strings.ReplaceAll(l.text, "\t", " "), " ")
		action, _ := accessAction(strings.TrimSpace(value))
		return refuses(action)
	}) {
		f = append(f, wrong("%s refuses nobody, so that no entry in it lifts anything: publish to the map that has the blocks", o.Path))
	}
	for _, line := range logicalLines([]byte(strings.Join(ours, "\n"))) {
		sender, _, _ := strings.Cut(line.text, " ")
		keys := []string{sender}
		if strings.Contains(sender, "@") {
			keys = accessKeys(mail.Path(sender))
		}
		for i, c := range checks {
			hit := slices.IndexFunc(c.Entries, func(e SiteEntry) bool { return !c.Patterns && slices.Contains(keys, e.Key) && refuses(e.Action) })
			if i != at && c.Check == "sender" && hit >= 0 {
				f = append(f, wrong("the entry for %s cannot win: %s refuses it as well (%s, %s)", sender, c.Entries[hit].Origin, c.List, c.Name))
			}
		}
	}
	return f
}
