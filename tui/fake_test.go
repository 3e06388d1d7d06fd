package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/engine/reply"
	"mailwhy/index"
)

// noon is when every test happens.
var noon = time.Date(2026, 11, 23, 12, 4, 31, 0, time.UTC)

// world is everything a session needs, in memory. Its services may be called
// inside commands alone: armed counts the commands that run.
type world struct {
	mu       sync.Mutex
	rows     []mail.Message // newest first
	made     []exception.Exception
	changed  chan struct{}
	policies chan struct{}
	sources  []SourceStatus
	backlog  Backlog
	asked    []string // query texts of Page
	refuse   string   // a guard's no
	created  func()   // happens before Create answers; nil = nothing
	page     func(ctx context.Context, q index.Query) error

	armed atomic.Int32
	stray atomic.Int32 // calls outside a command
}

func newWorld(rows ...mail.Message) *world {
	return &world{rows: rows, changed: make(chan struct{}), policies: make(chan struct{})}
}

func (w *world) enter() func() {
	if w.armed.Load() == 0 {
		w.stray.Add(1)
	}
	w.mu.Lock()
	return w.mu.Unlock
}

// text finds the query's words: the index's own type may be opaque, so the
// world remembers what the list asked for.
func (w *world) matches(q index.Query, m mail.Message) bool {
	if term := causeTerm.FindString(q.Text); term != "" && strings.Split(term, "|")[1] != m.EnvelopeFrom.Domain() {
		return false
	}
	for _, word := range strings.Fields(withoutCause(q.Text)) {
		field, value, ok := strings.Cut(word, ":")
		if of, known := map[string]mail.Path{"from": m.EnvelopeFrom, "to": m.Recipient}[field]; known && !strings.Contains(string(of), strings.Trim(value, `"`)) {
			return false
		}
		if ok {
			continue
		}
		if !strings.Contains(strings.ToLower(string(m.EnvelopeFrom)+" "+string(m.Recipient)+" "+m.Subject), word) {
			return false
		}
	}
	return true
}

func (w *world) Page(ctx context.Context, q index.Query, after index.Cursor, limit int) (index.Page, error) {
	if w.page != nil {
		if err := w.page(ctx, q); err != nil {
			return index.Page{}, err
		}
	}
	defer w.enter()()
	w.asked = append(w.asked, q.Text)
	var p index.Page
	for _, m := range w.rows {
		if after != "" && m.ID >= string(after) || !w.matches(q, m) {
			continue
		}
		if len(p.Rows) == limit {
			p.Next = index.Cursor(p.Rows[limit-1].ID)
			break
		}
		p.Rows = append(p.Rows, m)
	}
	return p, nil
}

func (w *world) Get(ctx context.Context, id string) (mail.Message, error) {
	defer w.enter()()
	for _, m := range w.rows {
		if m.ID == id {
			return m, nil
		}
	}
	return mail.Message{}, index.ErrNotFound
}

func (w *world) Count(ctx context.Context, q index.Query) (index.Total, error) {
	defer w.enter()()
	t := index.Total{Of: len(w.rows)}
	for _, m := range w.rows {
		if w.matches(q, m) {
			t.Count++
		}
	}
	if t.Count == 0 {
		t.Older = 12
	}
	return t, nil
}

func (w *world) Histogram(ctx context.Context, q index.Query, n int) ([]index.Bucket, error) {
	defer w.enter()()
	bars := make([]index.Bucket, n)
	for i := range bars {
		bars[i] = index.Bucket{Start: noon.Add(-7*24*time.Hour + time.Duration(i)*6*time.Hour), Counts: map[mail.Outcome]int{mail.Rejected: i * i % 17, mail.Deferred: i % 3}}
	}
	return bars, nil
}

// Causes groups by the sender's domain alone.
func (w *world) Causes(ctx context.Context, q index.Query) ([]index.Cause, error) {
	defer w.enter()()
	var list []index.Cause
	for _, m := range w.rows {
		if !w.matches(q, m) {
			continue
		}
		i := slices.IndexFunc(list, func(c index.Cause) bool { return c.Domain == m.EnvelopeFrom.Domain() })
		if i < 0 {
			i = len(list)
			list = append(list, index.Cause{Rule: m.Reported.Type, Domain: m.EnvelopeFrom.Domain(), Reason: m.Reply.Text, Last: m.Time, First: m.Time})
		}
		list[i].Count++
		list[i].First = m.Time
		list[i].Trend[list[i].Count%index.TrendBars] += 1 + list[i].Count%3
	}
	slices.SortStableFunc(list, func(a, b index.Cause) int { return b.Count - a.Count })
	return list, nil
}

func (w *world) Unseen(ctx context.Context, from, to mail.Path, within index.Query) (Unseen, error) {
	defer w.enter()()
	u := Unseen{Says: []string{"no refused, deferred or failed message of " + string(from) + " to " + string(to) + " was seen", "1,204 messages of others were seen in this time, without a gap",
		"neither acme.example nor a host of it was seen at all, \x1b[2Jand messages that were let in are not indexed here, so it may have been delivered"},
		Ask:      []string{"whether the sender got a notice of failure, and its whole text: mailwhy explain reads it"},
		Gateways: []GatewayInTime{{Name: "mx1", Messages: 1000}, {Name: "mx2\x1b", Messages: 204, Gaps: [][2]time.Time{{noon.Add(-9 * time.Hour), noon.Add(-3 * time.Hour)}}}},
		Sources:  []SourceStatus{{Path: "/var/log/maillog", LastLine: noon}, {Path: "/var/log/gone.log", Problem: "the file cannot be read: permission denied"}}}
	for _, m := range w.rows {
		if m.EnvelopeFrom == from && m.Recipient == to {
			u.Found++
		}
	}
	if u.Found > 0 {
		u.Says = []string{number(u.Found) + " messages of the two were seen"}
	}
	return u, nil
}

func (w *world) Impact(ctx context.Context, change engine.Change) (engine.ImpactReport, error) {
	defer w.enter()()
	return engine.ImpactReport{Messages: 3, Senders: 1, Recipients: 1, NeverScanned: 3, Examined: len(w.rows), ByDay: map[string]int{"2026-11-20": 1, "2026-11-23": 2}}, nil
}

func (w *world) Changed() <-chan struct{} {
	defer w.enter()()
	return w.changed
}

// arrive adds a message and tells who watches.
func (w *world) arrive(m mail.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows = append(w.rows, m)
	slices.SortFunc(w.rows, func(a, b mail.Message) int { return strings.Compare(b.ID, a.ID) })
	close(w.changed)
	w.changed = make(chan struct{})
}

func outcome(o mail.Outcome) *mail.Outcome { return &o }
func yes() *bool                           { b := true; return &b }
func no() *bool                            { b := false; return &b }

// blockedBy reports whether the world's one policy stops a message: everything
// of acme.example, unless an exception lives for it.
func (w *world) blockedBy(m mail.Message) bool {
	if !strings.Contains(string(m.EnvelopeFrom), "acme.example") {
		return false
	}
	for _, e := range w.made {
		if e.InForce(noon) && e.From.Value == string(m.EnvelopeFrom) && !m.Time.Before(e.Created) {
			return false
		}
	}
	return true
}

func (w *world) verdict(m mail.Message) engine.Verdict {
	if w.blockedBy(m) {
		return engine.Verdict{Outcome: outcome(mail.Rejected), Stage: engine.StageBlockedSenders, Moment: engine.MomentRcpt, Policy: "P-007", Certainty: engine.Certain}
	}
	return engine.Verdict{Outcome: outcome(mail.Accepted), Certainty: engine.Certain}
}

func (w *world) Why(m mail.Message) engine.Trace {
	defer w.enter()()
	now := m
	now.Time = noon
	verdictNow := w.verdict(now)
	t := engine.Trace{Message: m.ID, AsOf: m.Time, Verdict: w.verdict(m), VerdictNow: &verdictNow,
		Agreement: engine.Agreement{Result: engine.NotPolicy, Logged: m.Reported.Type}}
	winner, option := "P-007", "block_sender"
	step := engine.Step{Stage: engine.StageBlockedSenders, Moment: engine.MomentRcpt, Outcome: engine.StepPass, NotMatching: 41}
	if *t.Verdict.Outcome == mail.Rejected {
		step.Outcome = engine.StepStop
		t.Agreement = engine.Agreement{Result: engine.Agrees, Logged: m.Reply.Text}
		t.Remedies = remedies(verdictNow)
	} else if strings.Contains(string(m.EnvelopeFrom), "acme.example") {
		winner, option = "E-1", "no_action"
	}
	if strings.Contains(string(m.EnvelopeFrom), "acme.example") {
		step.Winner = &winner
		step.Policies = []engine.Considered{
			{ID: winner, Description: "Vendor block", Option: option, Matched: yes(), Because: "its group \"Blocked Senders\" lists the whole domain acme.example", Rank: engine.Rank{0, 5, 1, 1, 1, 0}, Origin: "policy.yaml:12"},
			{ID: "P-012", Option: "no_action", Matched: no(), Because: "from is ceo@acme.example, not alice@acme.example"},
		}
	}
	t.Steps = []engine.Step{
		{Stage: engine.StageAntiSpoofing, Moment: engine.MomentRcpt, Outcome: engine.StepPass, Because: "acme.example is not internal"},
		step,
		{Stage: engine.StageManagedSenders, Moment: engine.MomentRcpt, Outcome: engine.StepSkip},
	}
	return t
}

func remedies(now engine.Verdict) []engine.Remedy {
	if *now.Outcome == mail.Accepted {
		return nil
	}
	after := &engine.Verdict{Outcome: outcome(mail.Accepted), Certainty: engine.Certain}
	return []engine.Remedy{
		{Kind: engine.KindBypass, Scope: "sender>recipient", Works: yes(), VerdictAfter: after},
		{Kind: engine.KindBypass, Scope: "sender>all", Works: yes(), VerdictAfter: after},
		{Kind: engine.KindBypass, Scope: "domain>recipient", Works: yes(), VerdictAfter: after},
		{Kind: engine.KindPermit, Scope: "sender>recipient", Works: no(), Because: "Blocked Senders P-007 is decided first"},
	}
}

func (w *world) Verdict(m mail.Message) (engine.Verdict, engine.Agreement) {
	defer w.enter()()
	v := w.verdict(m)
	if v.Policy != "" {
		return v, engine.Agreement{Result: engine.Agrees}
	}
	return v, engine.Agreement{Result: engine.NotPolicy}
}

func (w *world) Policy(id string) (engine.Policy, bool) {
	defer w.enter()()
	return engine.Policy{ID: id, Description: "Vendor block"}, id == "P-007"
}

func (w *world) PolicyChanged() <-chan struct{} {
	defer w.enter()()
	return w.policies
}

func (w *world) draft(p exception.Proposal) exception.Draft {
	e := exception.Exception{ID: len(w.made) + 1, Kind: p.Kind, Scope: "sender>recipient", FromPart: p.Scope.FromPart,
		From:   engine.Spec{Type: engine.IndividualAddress, Value: string(p.Message.EnvelopeFrom)},
		To:     engine.Spec{Type: engine.IndividualAddress, Value: string(p.Message.Recipient)},
		Ticket: p.Ticket, Reason: p.Reason, Narrative: "mailwhy E-1 " + p.Ticket, Created: noon, Expires: noon.AddDate(0, 0, 30),
		Actor: exception.Actor{Name: "kim", Role: exception.Operator}, MessageID: p.Message.ID,
		Steps: []string{"Policies | Gateway Policies | Blocked Senders: New Policy", "Blocked Sender Policy: Take No Action"}}
	if p.Scope.From == "domain" {
		e.From = engine.Spec{Type: engine.EmailDomain, Value: p.Message.EnvelopeFrom.Domain()}
	}
	d := exception.Draft{Exception: e, Guards: []exception.Guard{{Name: "role", Answer: "ok"}}}
	if p.Ticket == "" {
		d.Guards = append(d.Guards, exception.Guard{Name: "ticket", Answer: "refused", Sentence: "a ticket is required"})
	}
	if w.refuse != "" {
		d.Guards = append(d.Guards, exception.Guard{Name: "width", Answer: "refused", Sentence: w.refuse})
	}
	return d
}

func (w *world) Propose(ctx context.Context, p exception.Proposal) (exception.Draft, error) {
	defer w.enter()()
	return w.draft(p), nil
}

func (w *world) Policies(context.Context) (PolicyReport, error) {
	defer w.enter()()
	use := engine.PolicyUse{Hits: 812, Last: noon, ByDay: make([]int, 31), Newest: w.rows[:min(1, len(w.rows))]}
	use.ByDay[30], use.ByDay[29], use.ByDay[3] = 600, 200, 12
	internal := engine.Spec{Type: engine.InternalAddresses}
	return PolicyReport{
		Usage: engine.Usage{Messages: 1204, Since: noon.AddDate(0, 0, -30)},
		Lists: []engine.LintFinding{{Rule: engine.LintNearMiss, Line: 7, Why: "group Vendors lists acme.example, which does not cover mail.acme.example: 12 messages came from there"}},
		Rows: []PolicyRow{
			{Policy: engine.Policy{ID: "P-007", Option: engine.OptionBlockSender, From: engine.Spec{Type: engine.ProfileGroup, Value: "Vendors\x1b[2J"}, To: internal, Origin: "policy.yaml:12"}, Use: use,
				Findings: []engine.LintFinding{{Rule: engine.LintWithoutTicket, Line: 12, Why: "its narrative names no ticket", Do: "add the ticket"}},
				Lines:    []string{"- id: P-007", "  description: Vendor block"}},
			{Policy: engine.Policy{ID: "P-012", Option: engine.OptionNoAction, From: engine.Spec{Type: engine.IndividualAddress, Value: "ceo@acme.example"}, To: internal, Origin: "policy.yaml:18", Until: noon.AddDate(0, -1, 0)},
				Findings: []engine.LintFinding{{Rule: engine.LintExpired, Line: 18, Why: "it ended", Do: "delete it"}, {Rule: engine.LintWithoutHits, Line: 18, Why: "no hits", Do: "ask"}}},
		},
	}, nil
}

func (w *world) Advice(mail.Message, engine.Verdict, *time.Location) string {
	return "Nothing was changed yet."
}

func (w *world) Living(_ context.Context, e exception.Exception) (exception.Health, error) {
	defer w.enter()()
	return exception.Health{Hits: 2, LetIn: 1, Stopped: 1, LastHit: noon.Add(time.Hour), Findings: []exception.Finding{exception.Stale}, Because: []string{"nobody needs it"},
		Attempts: []exception.Attempt{{Message: "m9", Time: noon.Add(time.Hour), Outcome: mail.Held, Because: "Spam\x1b[2J"}}}, nil
}

func (w *world) Create(ctx context.Context, p exception.Proposal) (exception.Exception, error) {
	e, err := w.create(p)
	if err == nil && w.created != nil {
		w.created()
	}
	return e, err
}

func (w *world) create(p exception.Proposal) (exception.Exception, error) {
	defer w.enter()()
	if w.refuse != "" {
		return exception.Exception{}, errors.New(w.refuse)
	}
	e := w.draft(p).Exception
	w.made = append(w.made, e)
	return e, nil
}

func (w *world) Revoke(ctx context.Context, id int, reason string) (exception.Exception, error) {
	defer w.enter()()
	if id < 1 || id > len(w.made) {
		return exception.Exception{}, fmt.Errorf("no exception %d", id)
	}
	w.made = slices.Delete(w.made, id-1, id)
	return exception.Exception{ID: id, Revoked: noon}, nil
}

func (w *world) Approve(ctx context.Context, id int) (exception.Exception, error) {
	w.made[id-1].Approved, w.made[id-1].ApprovedBy = noon, "boss"
	return w.made[id-1], nil
}

func (w *world) Confirm(ctx context.Context, id int) (exception.Exception, error) {
	defer w.enter()()
	w.made[id-1].Confirmed = noon
	return w.made[id-1], nil
}

func (w *world) Extend(ctx context.Context, id int, until time.Time, reason string) (exception.Exception, error) {
	defer w.enter()()
	w.made[id-1].Expires = until
	return w.made[id-1], nil
}

func (w *world) List() []exception.Exception {
	defer w.enter()()
	all := slices.Clone(w.made)
	slices.Reverse(all)
	return all
}

func (w *world) Sources() []SourceStatus {
	defer w.enter()()
	return w.sources
}

func (w *world) Backlog() Backlog {
	defer w.enter()()
	return w.backlog
}

// program drives a Root as bubbletea does, but in one goroutine and in an
// order that does not vary.
type program struct {
	t    testing.TB
	w    *world
	root *Root
	out  strings.Builder
	quit bool
}

func options(w *world) Options {
	return Options{
		Open: func(context.Context) (Services, error) {
			return Services{Searcher: w, Explainer: w, Excepter: w, Sources: w, Policies: w, Unseer: w}, nil
		},
		Now:      func() time.Time { return noon },
		Location: time.UTC,
		Environ:  []string{"TERM=dumb", "NO_COLOR=1", "LANG=C.UTF-8"},
		User:     exception.Actor{Name: "kim", Role: exception.Admin},
	}
}

func newProgram(t testing.TB, w *world, width, height int, change ...func(*Options)) *program {
	t.Helper()
	o := options(w)
	o.Environ = []string{"TERM=xterm", "NO_COLOR=1", "LANG=C.UTF-8"}
	for _, c := range change {
		c(&o)
	}
	p := &program{t: t, w: w}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	p.root = NewRoot(ctx, o, &p.out)
	p.root.s.after, p.root.s.await, p.root.s.explain = atOnce, never, explain
	p.send(tea.WindowSizeMsg{Width: width, Height: height})
	p.run(p.root.Init())
	return p
}

// send gives the root a message and runs what follows from it.
func (p *program) send(msg tea.Msg) {
	_, cmd := p.root.Update(msg)
	p.run(cmd)
}

// run runs commands one after the other and sends what they give.
func (p *program) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	p.w.armed.Add(1)
	msg := cmd()
	p.w.armed.Add(-1)
	switch msg := msg.(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			p.run(c)
		}
	case tea.QuitMsg:
		p.quit = true
	default:
		p.send(msg)
	}
}

// atOnce is how short timers end in tests; those of a second and more, and
// what waits for a change, never do.
func atOnce(d time.Duration, msg tea.Msg) tea.Cmd {
	if d >= time.Second {
		return nil
	}
	return func() tea.Msg { return msg }
}

// explain keeps the screens of the tests as they are when the knowledge base
// learns.
func explain(text string) reply.Explanation {
	return reply.Explanation{Known: true, Text: text, Meaning: "the receiving side refuses it by policy", Side: "us", Steps: []string{"look for the policy"}}
}

func never(context.Context, <-chan struct{}, tea.Msg) tea.Cmd { return nil }

// keys presses keys: names as bubbletea writes them, anything else is typed.
func (p *program) keys(names ...string) {
	for _, name := range names {
		for _, msg := range keyMsgs(name) {
			p.send(msg)
		}
	}
}

func keyMsgs(name string) []tea.Msg {
	special := map[string]tea.KeyType{
		"enter": tea.KeyEnter, "esc": tea.KeyEsc, "tab": tea.KeyTab, "shift+tab": tea.KeyShiftTab, "up": tea.KeyUp, "down": tea.KeyDown,
		"left": tea.KeyLeft, "right": tea.KeyRight, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "home": tea.KeyHome, "end": tea.KeyEnd,
		"ctrl+c": tea.KeyCtrlC, "ctrl+u": tea.KeyCtrlU, "ctrl+d": tea.KeyCtrlD, "backspace": tea.KeyBackspace,
	}
	if k, ok := special[name]; ok {
		return []tea.Msg{tea.KeyMsg{Type: k}}
	}
	var all []tea.Msg
	for _, r := range name {
		all = append(all, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
	}
	return all
}

// sample makes message n; a greater n is newer.
func sample(n int, from, to string) mail.Message {
	at := noon.Add(-time.Hour + time.Duration(n)*time.Second)
	return mail.Message{
		ID: fmt.Sprintf("%013d-0123456789abcdef-%04d", at.UnixMilli(), n), Time: at, Last: at, Format: "postfix", Gateway: "mx1",
		Outcome: mail.Rejected, Phase: mail.PhaseRcpt, EnvelopeFrom: mail.Path(from), Recipient: mail.Path(to),
		Client: mail.Client{IP: "203.0.113.10", Name: "mail.acme.example"}, QueueID: fmt.Sprintf("4F%04X", n),
		Reply:    mail.Reply{Code: 550, Enhanced: "5.7.1", Text: "Administrative prohibition - envelope blocked"},
		Evidence: []mail.Evidence{{File: "maillog", Offset: int64(n) * 100, Text: "NOQUEUE: reject: RCPT from mail.acme.example[203.0.113.10]: 550 5.7.1 <" + to + ">"}},
	}
}

func samples(n int) []mail.Message {
	var rows []mail.Message
	for i := n; i > 0; i-- {
		from := []string{"alice@acme.example", "news@lists.example.net", "<>"}[i%3]
		m := sample(i, from, "bob@corp.example")
		if from != "alice@acme.example" {
			m.Reply, m.Reported.Type = mail.Reply{Code: 451, Enhanced: "4.7.1", Text: "try again"}, "greylisting"
			m.Outcome = mail.Deferred
		}
		rows = append(rows, m)
	}
	return rows
}
