package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// attempt is a candidate change before it is drafted.
type attempt struct {
	kind  Kind
	scope string
	group GroupEntry // of a group_remove
	entry ManagedEntry
}

// candidates lists what a helpdesk person would think of, the tempting and
// useless included.
func candidates(set *Set, m *mail.Message, v Verdict) []attempt {
	switch v.Stage {
	case StageManagedSenders:
		return managedCandidates(v)
	case StageBlockedSenders:
		return blockedCandidates(set, m, v)
	}
	return []attempt{{kind: KindBypass, scope: "sender>recipient"}, {kind: KindPermit, scope: "sender>recipient"}}
}

// managedCandidates change the recipient's own list, whose address beats its
// domain; a Permitted Senders policy beats it by envelope, a bypass never.
func managedCandidates(v Verdict) []attempt {
	e := managedOf(v.Policy)
	scope, suffix := "sender", ""
	if !strings.Contains(e.Sender, "@") {
		scope = "domain"
	}
	if v.Moment == MomentData {
		suffix = ",header"
	}
	return []attempt{
		{kind: KindManagedDelete, scope: scope + ">recipient", entry: e},
		{kind: KindManagedPermit, scope: "sender>recipient" + suffix},
		{kind: KindPermit, scope: "sender>recipient"},
		{kind: KindBypass, scope: "sender>recipient"},
	}
}

// blockedCandidates make the sender's exception to a Blocked Senders policy
// wider and wider, by envelope and by header.
func blockedCandidates(set *Set, m *mail.Message, v Verdict) []attempt {
	f := factsOf(m, time.Time{})
	internalTo := set.Internal(f.recipient)
	var list []attempt
	add := func(kind Kind, scopes ...string) {
		for _, scope := range scopes {
			list = append(list, attempt{kind: kind, scope: scope})
		}
	}
	if !internalTo && !set.Internal(f.envelope) {
		add(KindRelay, "sender>recipient")
	}
	for _, suffix := range senderSuffixes(&f, v) {
		add(KindBypass, "sender>recipient"+suffix)
		if !internalTo {
			continue
		}
		if f.client.IsValid() {
			add(KindBypass, "sender>recipient"+suffix+",ip")
		}
		for _, g := range recipientGroups(set, f.recipient) {
			add(KindBypass, "sender>group:"+g+suffix)
		}
		add(KindBypass, "sender>all"+suffix, "domain>recipient"+suffix)
	}
	list = append(list, groupRemovals(set, m, v)...)
	if internalTo {
		add(KindPermit, "sender>recipient")
		add(KindManagedPermit, "sender>recipient")
	}
	return list
}

// senderSuffixes are the addresses of the sender worth naming: the envelope's,
// and the header's where the log gives another one.
func senderSuffixes(f *facts, v Verdict) []string {
	header := f.header.Known() && f.header.Fold() != f.envelope.Fold()
	switch {
	case v.Moment == MomentData && header:
		return []string{",header", ",both", ""}
	case header || f.envelope.Null() || oneOff(f.envelope):
		return []string{"", ",header"}
	}
	return []string{""}
}

// recipientGroups are the groups a recipient is in, by name.
func recipientGroups(set *Set, recipient mail.Path) []string {
	var groups []string
	for name := range set.file.groups {
		if name != groupBlockedSenders && name != groupRelay && set.InGroup(name, recipient) {
			groups = append(groups, name)
		}
	}
	slices.Sort(groups)
	return groups
}

// groupRemovals takes each matching entry out of the group that blocks.
func groupRemovals(set *Set, m *mail.Message, v Verdict) []attempt {
	f := factsOf(m, time.Time{})
	var list []attempt
	for _, p := range set.Policies() {
		if p.ID != v.Policy || p.From.Type != ProfileGroup {
			continue
		}
		for _, member := range []string{string(f.envelope.Fold()), string(f.header.Fold()), f.envelope.Domain(), f.header.Domain()} {
			a := attempt{kind: KindGroupRemove, scope: member + " from group " + p.From.Value, group: GroupEntry{Group: p.From.Value, Member: member}}
			known := slices.ContainsFunc(list, func(o attempt) bool { return o.group == a.group })
			if _, in := set.entryOfGroup(p.From.Value, member); in && !known {
				list = append(list, a)
			}
		}
	}
	return list
}

// entryOfGroup finds the entry of a group that reads as a folded address or
// domain does.
func (s *Set) entryOfGroup(group, folded string) (entry string, found bool) {
	if folded == "" {
		return "", false
	}
	if !slices.Contains(s.groupsOf(folded), group) {
		return "", false
	}
	return folded, true
}

func whyWorks(a attempt, c Change) string {
	switch a.kind {
	case KindGroupRemove:
		return "frees everybody the entry stands for, not this sender alone"
	case KindManagedDelete:
		return "takes the entry off the recipient's own list"
	case KindManagedPermit:
		return "the recipient's own permit of the sender stands in the place of the block"
	case KindPermit:
		return "a Permitted Senders policy that wins by envelope beats the recipient's own block"
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
	if stage == "" {
		stage = string(after.Stage)
	}
	header := strings.Contains(a.scope, ",header")
	switch {
	case a.kind == KindPermit && before.Stage == StageBlockedSenders:
		return fmt.Sprintf("permit has no effect: Blocked Senders %s is decided first", before.Policy)
	case a.kind == KindManagedPermit && before.Stage == StageBlockedSenders:
		return fmt.Sprintf("the recipient's own permit has no effect: Blocked Senders %s is a policy and beats it", before.Policy)
	case before.Stage == StageAntiSpoofing:
		return "only an Anti-Spoofing policy lifts this: a bypass or permit of the sender is decided after it"
	case a.kind == KindPermit && after.Stage == StageManagedSenders && after.Moment == MomentData:
		return "permit has no effect: a block by header in the recipient's own list stands against a Permitted Senders policy"
	case a.kind == KindBypass && before.Stage == StageManagedSenders:
		return "bypass has no effect: it decides Blocked Senders alone, and the block stands in the recipient's own list"
	case a.kind == KindBypass && header && before.Moment == MomentRcpt && after.Policy == before.Policy:
		return fmt.Sprintf("%s %s refuses at RCPT by the envelope, before any header is seen", stage, after.Policy)
	case a.kind == KindBypass && before.Moment == MomentData && !header && after.Policy == before.Policy:
		return fmt.Sprintf("%s %s matches the header, and the exception names the envelope's sender", stage, after.Policy)
	case after.Policy == before.Policy:
		return fmt.Sprintf("%s %s still wins", stage, after.Policy)
	}
	return fmt.Sprintf("then %s %s stops it", stage, after.Policy)
}
