package engine

import (
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// decision is how one completion of the facts ends.
type decision struct {
	outcome mail.Outcome
	stage   Stage
	moment  Moment
	policy  string
	contest result // the contest that decided, or the last one of Blocked Senders
	opaque  bool   // a stage without a model could have stopped it before
	recent  bool   // a policy that matters changed within the propagation time
	notes   []string
}

func (d decision) same(o decision) bool {
	return d.outcome == o.outcome && d.stage == o.stage && d.policy == o.policy
}

// twist turns one inferred table over, to see whether a verdict rests on it.
type twist struct {
	otherCompare bool
	otherContest bool // data_contest
	swap         [2]int
	boldTie      bool
}

// walk is one run through the stages.
type walk struct {
	set    *Set
	facts  *facts
	twist  twist
	trace  *tracer // nil when only the decision is wanted
	result decision

	internalTo bool
	permitted  bool // a Permitted Senders policy or Auto Allow, by envelope
	permitWon  bool // a Permitted Senders policy alone
	buffer     []candidate

	room struct { // where keys and candidates usually fit, in one piece
		recipient, envelope, header [12]key
		candidates                  [12]candidate
	}
}

// run sends one completion through the stages in order.
func (s *Set) run(f *facts, t twist, tr *tracer) decision {
	return s.runUntil(f, t, tr, MomentDelivery)
}

// runUntil is run up to the last stage of a moment.
func (s *Set) runUntil(f *facts, t twist, tr *tracer, last Moment) decision {
	w := &walk{set: s, facts: f, twist: t, trace: tr, internalTo: s.Internal(f.recipient)}
	w.buffer = w.room.candidates[:0]
	f.recipientKeys = s.keysOf(w.room.recipient[:0], f.recipient, f.at)
	f.envelopeKeys = s.keysOf(w.room.envelope[:0], f.envelope, f.at)
	f.headerKeys = s.keysOf(w.room.header[:0], f.header, f.at)
	if f.name != "" {
		if k, ok := s.book.ids[Spec{Type: HeaderDisplayName, Value: f.name}.folded()]; ok {
			f.headerKeys = append(f.headerKeys, k)
		}
	}
	for _, stage := range stageOrder {
		if last == MomentRcpt && stage.moment != MomentRcpt {
			break
		}
		if stop := stage.decide(w, stage.moment); stop {
			return w.result
		}
	}
	w.result.outcome, w.result.stage, w.result.moment, w.result.policy = mail.Accepted, "", "", ""
	return w.result
}

// stageOrder follows what SMTP lets a gateway know at each moment. Stages that
// are only reported by the log have no entry.
var stageOrder = []struct {
	stage  Stage
	moment Moment
	decide func(*walk, Moment) bool
}{
	{StageAntiSpoofing, MomentRcpt, (*walk).antiSpoofing},
	{StageBlockedSenders, MomentRcpt, (*walk).blockedSenders},
	{StageManagedSenders, MomentRcpt, (*walk).managedSenders},
	{StagePermittedSenders, MomentRcpt, (*walk).permittedSenders},
	{StageReputation, MomentRcpt, (*walk).reputation},
	{StageGreylisting, MomentRcpt, (*walk).greylisting},
	{StageDNSAuthentication, MomentRcpt, (*walk).dnsAuthentication},
	{StageAntiSpoofing, MomentData, (*walk).antiSpoofing},
	{StageBlockedSenders, MomentData, (*walk).blockedSenders},
	{StageManagedSenders, MomentData, (*walk).managedSenders},
	{StagePermittedSenders, MomentData, (*walk).permittedSenders},
	{StageContent, MomentProcess, (*walk).content},
}

func (w *walk) stop(stage Stage, moment Moment, policy string, r result) bool {
	w.result.outcome, w.result.stage, w.result.moment, w.result.policy, w.result.contest = mail.Rejected, stage, moment, policy, r
	return true
}

// antiSpoofing refuses a sender that is one of ours and comes from outside: by
// envelope at rcpt, by header at data.
func (w *walk) antiSpoofing(moment Moment) bool {
	if !w.internalTo {
		w.trace.skip(StageAntiSpoofing, moment, "the recipient is not internal")
		return false
	}
	if w.set.file.known.partial[string(SectionAntiSpoofing)] {
		w.facts.askFor(factAntiSpoofing)
	}
	r := w.contest(SectionAntiSpoofing, moment, OptionApply)
	applies := r.winner != nil && r.winner.Option == OptionApply
	if applies && len(w.set.file.outbound) > 0 {
		w.facts.askClient(w.set.file.outbound)
		if inPrefixes(w.set.file.outbound, w.facts.client) {
			w.trace.step(w, StageAntiSpoofing, moment, SectionAntiSpoofing, StepPass, r, "the client relays for us, so it is no spoofer")
			return false
		}
	}
	if applies && w.spfBypassMatches(moment) {
		w.facts.askFor(factSPF)
		if w.facts.spfBypass {
			w.trace.step(w, StageAntiSpoofing, moment, SectionAntiSpoofing, StepPass, r, "the client passes SPF of a bypass domain")
			return false
		}
	}
	if applies {
		w.trace.step(w, StageAntiSpoofing, moment, SectionAntiSpoofing, StepStop, r, "")
		return w.stop(StageAntiSpoofing, moment, r.winner.ID, r)
	}
	w.trace.step(w, StageAntiSpoofing, moment, SectionAntiSpoofing, StepPass, r, "")
	return false
}

func (w *walk) spfBypassMatches(moment Moment) bool {
	t := w.set.tables[SectionAntiSpoofingSPF]
	return t != nil && w.contest(SectionAntiSpoofingSPF, moment, OptionApply).winner != nil
}

// blockedSenders holds the two contests: at rcpt among what the envelope
// matches, at data among all that match by either address.
func (w *walk) blockedSenders(moment Moment) bool {
	if w.set.file.known.partial[string(SectionBlockedSenders)] {
		w.facts.askFor(factBlocked)
	}
	r := w.contest(SectionBlockedSenders, moment, OptionBlockSender)
	if r.winner != nil && r.winner.Option == OptionBlockSender {
		w.trace.step(w, StageBlockedSenders, moment, SectionBlockedSenders, StepStop, r, "")
		return w.stop(StageBlockedSenders, moment, r.winner.ID, r)
	}
	if r.winner != nil {
		w.result.contest = r
	}
	w.trace.step(w, StageBlockedSenders, moment, SectionBlockedSenders, StepPass, r, "")
	return false
}

// permittedSenders sets the permitted flag; it never stops a message.
func (w *walk) permittedSenders(moment Moment) bool {
	if !w.internalTo {
		w.trace.skip(StagePermittedSenders, moment, "the recipient is not internal")
		return false
	}
	if w.trace == nil && moment == MomentData {
		return false
	}
	r := w.contest(SectionPermittedSenders, moment, OptionNoAction)
	because := ""
	if r.winner != nil && r.winner.Option == OptionPermitSender && moment == MomentRcpt {
		w.permitted = true
		because = "permitted: spam, greylisting and reputation checks are lifted, nothing else"
	}
	if moment == MomentRcpt && w.autoAllowed() {
		w.permitted = true
		because = "auto allow: the recipient wrote to this sender within 120 days"
	}
	w.trace.step(w, StagePermittedSenders, moment, SectionPermittedSenders, StepPass, r, because)
	return false
}

// autoAllowLife is how long an Auto Allow entry lives after the last message
// to the address.
const autoAllowLife = 120 * 24 * time.Hour

func (w *walk) autoAllowed() bool {
	sent, ok := w.set.autoSent[[2]string{string(w.facts.recipient.Fold()), string(w.facts.envelope.Fold())}]
	return ok && !w.facts.at.Before(sent) && w.facts.at.Before(sent.Add(autoAllowLife))
}

// managedSenders looks the sender up in the recipient's own list: the address
// before the domain. A block by envelope yields to a Permitted Senders policy
// that won by envelope; a block by header does not.
func (w *walk) managedSenders(moment Moment) bool {
	if !w.internalTo {
		w.trace.skip(StageManagedSenders, moment, "the recipient is not internal")
		return false
	}
	sender := w.facts.envelope
	if moment == MomentData {
		if w.recipientHasList() || w.set.file.known.partial["managed_senders"] {
			w.facts.ask(factHeaderFrom)
		}
		sender = w.facts.header
	} else if w.recipientHasList() {
		w.facts.ask(factEnvelopeFrom)
	}
	entry, found := w.managedFor(sender)
	if !found || entry.Action != "block" {
		if !found && w.set.file.known.partial["managed_senders"] {
			w.facts.askFor(factManaged)
		}
		w.trace.managed(w, moment, entry, found, StepPass, "")
		return false
	}
	if moment == MomentRcpt {
		if w.set.file.known.partial[string(SectionPermittedSenders)] {
			w.facts.askFor(factPermitted)
		}
		permit := w.contest(SectionPermittedSenders, moment, OptionNoAction)
		if permit.winner != nil && permit.winner.Option == OptionPermitSender {
			w.permitWon = true
			w.trace.managed(w, moment, entry, found, StepPass, "Permitted Senders policy "+permit.winner.ID+" won by envelope and beats the user's block")
			return false
		}
	} else if w.permitWon {
		w.result.notes = append(w.result.notes, "a block by header in a user's list stands against a Permitted Senders policy")
	}
	w.trace.managed(w, moment, entry, found, StepStop, "")
	return w.stop(StageManagedSenders, moment, managedID(entry), result{})
}

func managedID(e ManagedEntry) string { return "managed:" + e.Recipient + "/" + foldMember(e.Sender) }

func (w *walk) recipientHasList() bool {
	recipient := string(w.facts.recipient.Fold())
	if len(w.set.managed[recipient]) > 0 {
		return true
	}
	for _, c := range w.set.changes {
		for _, e := range c.ManagedPut {
			if string(mail.Path(e.Recipient).Fold()) == recipient {
				return true
			}
		}
	}
	return false
}

func (w *walk) managedFor(sender mail.Path) (ManagedEntry, bool) {
	if !sender.Known() || sender.Null() {
		return ManagedEntry{}, false
	}
	recipient := string(w.facts.recipient.Fold())
	if e, ok := w.set.managedEntry(recipient, string(sender.Fold()), w.facts.at); ok {
		return e, true
	}
	if d := sender.Domain(); d != "" {
		return w.set.managedEntry(recipient, d, w.facts.at)
	}
	return ManagedEntry{}, false
}

func (w *walk) reputation(moment Moment) bool {
	return w.cannotBeReplayed(StageReputation, SectionReputation, moment, true)
}

func (w *walk) greylisting(moment Moment) bool {
	return w.cannotBeReplayed(StageGreylisting, SectionGreylisting, moment, true)
}

func (w *walk) dnsAuthentication(moment Moment) bool {
	return w.cannotBeReplayed(StageDNSAuthentication, SectionDNSAuthentication, moment, false)
}

func (w *walk) content(moment Moment) bool {
	return w.cannotBeReplayed(StageContent, SectionContentExamination, moment, false)
}

// cannotBeReplayed is a stage whose outcome rests on what no log holds (lists
// of that day, the message's text). Where one of its policies applies, the
// stage is unknown and no verdict after it is certain.
func (w *walk) cannotBeReplayed(stage Stage, section Section, moment Moment, lifted bool) bool {
	if w.set.tables[section] == nil {
		return false
	}
	if !w.internalTo && stage != StageContent {
		w.trace.skip(stage, moment, "the recipient is not internal")
		return false
	}
	r := w.contest(section, moment, OptionApply)
	switch {
	case lifted && w.permitted:
		w.trace.skip(stage, moment, "the sender is permitted")
	case r.winner == nil || r.winner.Option == OptionNoAction || r.winner.Option == "none":
		w.trace.step(w, stage, moment, section, StepPass, r, "")
	default:
		w.result.opaque = true
		w.facts.askFor(sectionFact(section))
		w.trace.step(w, stage, moment, section, StepUnknown, r, "this stage cannot be replayed from a log")
	}
	return false
}

// contest gathers the candidates of a section at a moment and picks the winner.
func (w *walk) contest(section Section, moment Moment, cautious string) result {
	t := w.set.tables[section]
	if t == nil {
		return result{}
	}
	f := w.facts
	w.buffer = w.buffer[:0]
	headerOnly := section != SectionBlockedSenders || w.set.file.engine.HeaderOnly != w.twist.otherContest
	byEnvelope := moment == MomentRcpt || moment == MomentProcess || !headerOnly
	if moment == MomentData {
		w.askHeader(t)
		w.gather(t, f.headerKeys, f.header, true)
	}
	if byEnvelope {
		if f.lacks(factEnvelopeFrom) {
			f.ask(factEnvelopeFrom)
		}
		w.gather(t, f.envelopeKeys, f.envelope, false)
	}
	if w.set.file.known.partial["groups"] {
		w.askGroups(t)
	}
	if a, b := w.twist.swap[0], w.twist.swap[1]; a != b {
		for i := range w.buffer {
			for _, side := range []int{1, 2} {
				switch w.buffer[i].rank[side] {
				case a:
					w.buffer[i].rank[side] = b
				case b:
					w.buffer[i].rank[side] = a
				}
			}
		}
	}
	if w.twist.boldTie {
		cautious = ""
		for _, c := range w.buffer {
			if c.policy.Option == OptionNoAction {
				cautious = OptionNoAction
			}
		}
	}
	r := decide(w.buffer, cautious, w.set.file.engine.ToFirst != w.twist.otherCompare)
	if r.winner != nil && w.set.recently(r.winner.Since, f.at) || r.winner != nil && w.set.recently(r.winner.Changed, f.at) {
		w.result.recent = true
	}
	return r
}

func (s *Set) recently(changed, at time.Time) bool {
	return !changed.IsZero() && !at.Before(changed) && at.Before(changed.Add(s.file.engine.Propagation))
}

// gather adds the best candidates for one address of the sender. Within a pair
// of keys only the best rank can win, so the rest of the list is left alone.
func (w *walk) gather(t *contestTable, fromKeys []key, sender mail.Path, byHeader bool) {
	for _, from := range fromKeys {
		for _, to := range w.facts.recipientKeys {
			w.gatherPair(t.pairs[[2]key{from, to}], byHeader)
		}
	}
	for i := range t.extras {
		e := &t.extras[i]
		spec := [2]Spec{e.policy.From, e.policy.To}
		if i > 0 && t.extras[i-1].policy == e.policy {
			spec[0], spec[1] = spec[1], spec[0]
		}
		if w.set.matches(spec[0], sender, w.facts.name, byHeader, w.facts.at) && w.set.matches(spec[1], w.facts.recipient, "", false, w.facts.at) {
			w.consider(e, byHeader)
		}
	}
}

// gatherPair adds the candidates of the best rank in one list. Of those that
// differ by policy alone two are enough to see a tie.
func (w *walk) gatherPair(list []entry, byHeader bool) {
	found, alike := 0, 0
	for i := 0; i < len(list); {
		if found > 0 && list[i].rank != list[i-1].rank {
			return
		}
		if i > 0 && list[i].end != list[i-1].end {
			alike = 0
		}
		if w.consider(&list[i], byHeader) {
			found++
			alike++
		}
		if alike == 2 && !w.facts.allTies {
			i = list[i].end
			continue
		}
		i++
	}
}

// consider adds a policy whose sides match, if the rest of it holds too.
func (w *walk) consider(e *entry, byHeader bool) bool {
	p := e.policy
	if byHeader && p.FromPart == EnvelopeFrom || !byHeader && p.FromPart == HeaderFrom {
		return false
	}
	if !p.active(w.facts.at) {
		if !p.Disabled && w.set.recently(p.Until, w.facts.at) {
			w.result.recent = true
		}
		return false
	}
	if len(p.SourceIPs) > 0 {
		w.facts.askClient(p.SourceIPs)
		if !p.allowsClient(w.facts.client) {
			return false
		}
	}
	for i := range w.buffer {
		c := &w.buffer[i]
		if c.policy != p {
			continue
		}
		if c.byHeader == byHeader && compareRanks(e.rank, c.rank, w.set.file.engine.ToFirst != w.twist.otherCompare) > 0 {
			c.rank = e.rank
		}
		return true // the header was gathered first: it is the one used when both match
	}
	w.buffer = append(w.buffer, candidate{policy: p, rank: e.rank, byHeader: byHeader})
	return true
}

// askHeader notes that the header from is asked for, when a policy for this
// recipient looks at it.
func (w *walk) askHeader(t *contestTable) {
	f := w.facts
	if !f.lacks(factHeaderFrom) && !f.lacks(factHeaderName) {
		return
	}
	look := func(p *Policy) {
		if p.FromPart == EnvelopeFrom || !p.active(f.at) {
			return
		}
		f.ask(factHeaderFrom)
		if p.From.Type == HeaderDisplayName {
			f.ask(factHeaderName)
		}
	}
	for _, to := range f.recipientKeys {
		for i := range t.byTo[to] {
			if f.asked&factHeaderFrom != 0 && (f.asked&factHeaderName != 0 || !t.namesSenders) {
				break
			}
			look(t.byTo[to][i].policy)
		}
	}
	for _, e := range t.extras {
		look(e.policy)
	}
}

// askGroups notes that groups known in part could change this contest.
func (w *walk) askGroups(t *contestTable) {
	for _, p := range slices.Concat(t.groupPolicies, t.extraPointers()) {
		if !p.active(w.facts.at) || (p.From.Type != ProfileGroup && p.To.Type != ProfileGroup) {
			continue
		}
		for _, sender := range []mail.Path{w.facts.envelope, w.facts.header} {
			from := p.From.Type == ProfileGroup || w.set.matches(p.From, sender, w.facts.name, true, w.facts.at)
			to := p.To.Type == ProfileGroup || w.set.matches(p.To, w.facts.recipient, "", false, w.facts.at)
			if from && to {
				w.facts.askFor(factGroups)
				return
			}
		}
	}
}

// matches says whether an address satisfies one side of a policy.
func (s *Set) matches(spec Spec, address mail.Path, name string, isHeader bool, at time.Time) bool {
	switch spec.Type {
	case Everyone:
		return true
	case HeaderDisplayName:
		return isHeader && name != "" && Spec{Type: HeaderDisplayName, Value: name}.folded() == spec.folded()
	case ExternalAddresses:
		return address.Null() || !s.Internal(address)
	}
	if address.Null() || !address.Known() {
		return false
	}
	switch spec.Type {
	case InternalAddresses:
		return s.Internal(address)
	case FreeMailDomains:
		return s.file.freeMail[address.Domain()]
	case EmailDomain:
		folded := spec.folded().Value
		if len(folded) > 2 && folded[:2] == "*." {
			_, parent, ok := strings.Cut(address.Domain(), ".")
			return ok && parent == folded[2:]
		}
		return address.Domain() == folded
	case ProfileGroup:
		_, ok := s.membership(spec.Value, address, at)
		return ok
	case AddressAttributeValue:
		id, ok := s.book.ids[spec.folded()]
		return ok && slices.Contains(s.book.attributes[string(address.Fold())], id)
	case IndividualAddress:
		return string(address.Fold()) == spec.folded().Value
	}
	return false
}
