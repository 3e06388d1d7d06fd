package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// Remedies replays the candidate changes at now, narrowest first, those that
// work before those that do not. Nothing is proposed for a message no modelled
// stage stops, nor ever a bypass for a virus or malicious content.
func Remedies(set *Set, m *mail.Message, now time.Time) []Remedy {
	set = set.orEmpty()
	remedies := []Remedy{}
	before := Decide(set, m, now)
	if before.Outcome == nil || *before.Outcome == mail.Accepted || malicious(m) {
		return remedies
	}
	for _, c := range candidates(set, m, before) {
		remedies = append(remedies, try(set, m, now, before, c))
	}
	slices.SortStableFunc(remedies, func(a, b Remedy) int { return usefulness(a) - usefulness(b) })
	return remedies
}

func usefulness(r Remedy) int {
	switch {
	case r.Works == nil:
		return 1
	case *r.Works:
		return 0
	}
	return 2
}

// malicious reports whether the log names malware: such a message is never let
// in by an exception.
func malicious(m *mail.Message) bool {
	text := strings.ToLower(m.Reported.Type + " " + m.Reported.Rule + " " + m.Reported.Detail + " " + m.Reply.Text)
	for _, word := range []string{"virus", "malicious", "malware", "phish", "due to security policies"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// attempt is a candidate change before it is drafted.
type attempt struct {
	kind  Kind
	scope string
	group GroupEntry // of a group_remove
	entry ManagedEntry
}

// candidates lists what a helpdesk person would think of, narrowest first.
func candidates(set *Set, m *mail.Message, v Verdict) []attempt {
	f := factsOf(m, time.Time{})
	senders := []string{""}
	switch {
	case v.Moment == MomentData && f.header.Known() && f.header.Fold() != f.envelope.Fold():
		senders = []string{",header", ",both"}
	case f.envelope.Null() || oneOff(f.envelope):
		senders = []string{",header", ""}
	}
	var list []attempt
	add := func(kind Kind, scopes ...string) {
		for _, scope := range scopes {
			list = append(list, attempt{kind: kind, scope: scope})
		}
	}
	groups := recipientGroups(set, f.recipient)
	internalTo := set.Internal(f.recipient)
	switch v.Stage {
	case StageManagedSenders:
		e := managedOf(v.Policy)
		scope := "sender"
		if !strings.Contains(e.Sender, "@") {
			scope = "domain"
		}
		list = append(list, attempt{kind: KindManagedDelete, scope: scope + ">recipient", entry: e})
		add(KindManagedPermit, "sender>recipient")
		add(KindPermit, "sender>recipient")
		add(KindBypass, "sender>recipient")
	case StageBlockedSenders:
		if !internalTo {
			add(KindRelay, "sender>recipient")
		}
		for _, suffix := range senders {
			add(KindBypass, "sender>recipient"+suffix)
			if f.client.IsValid() && internalTo {
				add(KindBypass, "sender>recipient"+suffix+",ip")
			}
			if !internalTo {
				continue
			}
			for _, g := range groups {
				add(KindBypass, "sender>group:"+g+suffix)
			}
			add(KindBypass, "sender>all"+suffix, "domain>recipient"+suffix)
		}
		if internalTo {
			list = append(list, groupRemovals(set, m, v)...)
			add(KindPermit, "sender>recipient")
			add(KindManagedPermit, "sender>recipient")
		}
	case StageAntiSpoofing:
		add(KindBypass, "sender>recipient")
		add(KindPermit, "sender>recipient")
	}
	return list
}

// recipientGroups are the groups a recipient is in, by name.
func recipientGroups(set *Set, recipient mail.Path) []string {
	var groups []string
	for _, member := range []string{string(recipient.Fold()), recipient.Domain()} {
		for _, name := range set.groupsOf(member) {
			if name != groupBlockedSenders && name != groupRelay && !slices.Contains(groups, name) {
				groups = append(groups, name)
			}
		}
	}
	slices.Sort(groups)
	return groups
}

// groupRemovals takes the matching entry out of the group that blocks.
func groupRemovals(set *Set, m *mail.Message, v Verdict) []attempt {
	f := factsOf(m, time.Time{})
	for _, p := range set.Policies() {
		if p.ID != v.Policy || p.From.Type != ProfileGroup {
			continue
		}
		for _, sender := range []mail.Path{f.envelope, f.header} {
			if !sender.Known() || sender.Null() {
				continue
			}
			for _, member := range []string{string(sender.Fold()), sender.Domain()} {
				if slices.Contains(set.groupsOf(member), p.From.Value) {
					return []attempt{{kind: KindGroupRemove, scope: member + " from group " + p.From.Value, group: GroupEntry{Group: p.From.Value, Member: member}}}
				}
			}
		}
	}
	return nil
}

// try drafts one candidate and replays the message with it at now.
func try(set *Set, m *mail.Message, now time.Time, before Verdict, a attempt) Remedy {
	r := Remedy{Kind: a.kind, Scope: a.scope}
	no := false
	switch a.kind {
	case KindGroupRemove:
		r.Change = Change{Kind: a.kind, GroupRemove: []GroupEntry{a.group}}
	case KindManagedDelete:
		r.Change = Change{Kind: a.kind, ManagedDelete: []ManagedEntry{a.entry}}
	default:
		scope, err := ParseScope(a.scope)
		if err == nil {
			r.Change, err = Draft(set, a.kind, scope, m, "candidate", "", now, time.Time{})
		}
		if err != nil {
			r.Works, r.Because = &no, err.Error()
			return r
		}
		r.Change.Since = time.Time{}
		for i := range r.Change.Policies {
			r.Change.Policies[i].Since = time.Time{} // tried as if it had long reached the gateway
		}
	}
	after := Decide(set.Apply(r.Change), m, now)
	r.VerdictAfter = &after
	switch {
	case after.Outcome == nil:
		r.Because = "what the log lacks decides whether this helps: " + strings.Join(after.Missing, ", ")
	case *after.Outcome == mail.Accepted:
		yes := true
		r.Works = &yes
		r.Because = whyWorks(a, r.Change)
	case after.Certainty != Certain:
		r.Because = whyUseless(a, before, after) + ", unless what the log lacks is otherwise: " + strings.Join(after.Missing, ", ")
	default:
		r.Works, r.Because = &no, whyUseless(a, before, after)
	}
	return r
}

func whyWorks(a attempt, c Change) string {
	switch a.kind {
	case KindGroupRemove:
		return "frees everybody the entry stands for, not this sender alone"
	case KindManagedDelete:
		return "takes the entry off the recipient's own list"
	case KindRelay:
		return "this one recipient may be relayed to"
	case KindBypass:
		if len(c.Policies) == 1 && c.Policies[0].Override {
			return "wins by Policy Override; by specificity alone it would lose"
		}
		return "wins by specificity"
	}
	return ""
}

func whyUseless(a attempt, before, after Verdict) string {
	stage := map[Stage]string{StageBlockedSenders: "Blocked Senders", StageManagedSenders: "Managed Senders", StageAntiSpoofing: "Anti-Spoofing"}[after.Stage]
	switch {
	case a.kind == KindPermit && before.Stage == StageBlockedSenders:
		return fmt.Sprintf("permit has no effect: Blocked Senders %s is decided first", before.Policy)
	case a.kind == KindManagedPermit && before.Stage == StageBlockedSenders:
		return fmt.Sprintf("the recipient's own permit has no effect: Blocked Senders %s is a policy and beats it", before.Policy)
	case before.Stage == StageAntiSpoofing:
		return "only an Anti-Spoofing policy lifts this: a bypass or permit of the sender is decided after it"
	case after.Policy == before.Policy:
		return fmt.Sprintf("%s %s still wins", stage, after.Policy)
	}
	return fmt.Sprintf("then %s %s stops it", stage, after.Policy)
}
