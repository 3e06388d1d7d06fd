package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/index"
	"mailwhy/tui/cell"
)

type whyFlags struct {
	policy, policyID, at     string
	from, to, headerFrom, ip string
	messages, since          string
	impact                   bool

	// replay answers with the policies of the message's time and what the index
	// knows of its sender; nil for a message that is not of the index.
	replay func(m *mail.Message, at time.Time) engine.Trace
	// weigh counts what a change would alter in the index; nil without one.
	weigh func(engine.Change) (engine.ImpactReport, error)
	// lifts asks the gateways whether they can undo a refusal; nil without an
	// index.
	lifts func(mail.Message) []app.Lift
	// timeline tells a message's story; nil for one that is not of the index.
	timeline func(mail.Message) []app.Event
}

func newWhy(s *session) *cobra.Command {
	var f whyFlags
	c := s.addJSON(&cobra.Command{
		Use:   "why [ID]",
		Short: "replay a message through the policies, and tell its story; ID is any id that a log knows it by",
		Args:  cobra.MaximumNArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return s.why(c, f, args) },
	})
	c.Flags().StringVar(&f.policy, "policy", "", "policy file, instead of the configured one")
	c.Flags().StringVar(&f.policyID, "policy-id", "", "say how this policy stands to the message")
	c.Flags().StringVar(&f.at, "at", "", "replay as of this time (RFC 3339), or now; default: the message's time")
	c.Flags().StringVar(&f.from, "from", "", "envelope sender of a message made up here; <> is the null path")
	c.Flags().StringVar(&f.to, "to", "", "recipient")
	c.Flags().StringVar(&f.headerFrom, "header-from", "", "header from")
	c.Flags().StringVar(&f.ip, "ip", "", "client address")
	c.Flags().BoolVar(&f.impact, "impact", false, "replay every indexed message with each remedy, to say what else it would let in")
	c.Flags().StringVar(&f.since, "since", "", "with --from and --to: look for such a message since then (7d, a day), and prove that it was never seen")
	c.Flags().StringVar(&f.messages, "messages", "", "file with one message a line (JSON), or -")
	return c
}

func (s *session) why(c *cobra.Command, f whyFlags, args []string) error {
	if f.since != "" {
		return s.unseen(c.Context(), f, args)
	}
	now := s.now()
	at, err := parseAt(f.at, now)
	if err != nil {
		return err
	}
	if f.policy == "" || len(args) > 0 || f.impact {
		return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
			set := a.Set()
			if f.policy != "" {
				if set, err = s.loadPolicy(f.policy); err != nil {
					return err
				}
			}
			if f.policy == "" {
				f.replay = func(m *mail.Message, at time.Time) engine.Trace { return a.Why(c.Context(), m, at, now) }
			}
			if f.impact {
				f.weigh = func(change engine.Change) (engine.ImpactReport, error) {
					return a.For(who).ImpactIn(c.Context(), set, change)
				}
			}
			if !who.Veil.Masks() { // the gateways quote their lists
				f.lifts = a.Lifts
			}
			return s.whyIn(c, set, a.For(who), f, args, at, now)
		})
	}
	set, err := s.loadPolicy(f.policy)
	if err != nil {
		return err
	}
	return s.whyIn(c, set, app.Reader{}, f, args, at, now)
}

// whyIn answers for the messages the flags name; r is empty without an index.
func (s *session) whyIn(c *cobra.Command, set *engine.Set, r app.Reader, f whyFlags, args []string, at, now time.Time) error {
	if len(args) == 1 {
		found, err := r.Find(c.Context(), args[0])
		if errors.Is(err, index.ErrNotFound) {
			return notFound(args[0])
		}
		if err != nil {
			return err
		}
		f.timeline = func(m mail.Message) []app.Event { return r.Timeline(m, now) }
		for i := range found {
			if i > 0 && !s.json {
				fmt.Fprintln(s.stdout)
			}
			if err := s.printTrace(s.stdout, set, &found[i], f, at, now); err != nil {
				return err
			}
		}
		return nil
	}
	if f.messages != "" {
		f.replay = nil
		return s.whyMessages(set, f, at, now)
	}
	m, err := f.message()
	if err != nil {
		return err
	}
	f.replay = nil
	return s.printTrace(s.stdout, set, &m, f, at, now)
}

// message is the one that --from, --to, --header-from and --ip make up.
func (f whyFlags) message() (m mail.Message, err error) {
	if f.to == "" || (f.from == "" && f.headerFrom == "") {
		return m, errors.New("name a message: --from A --to B, or --messages FILE")
	}
	for _, a := range []struct {
		flag, text string
		to         *mail.Path
	}{{"--from", f.from, &m.EnvelopeFrom}, {"--to", f.to, &m.Recipient}} {
		text := a.text
		if text != "<>" {
			text = strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">")
		}
		if strings.ContainsAny(text, " \t") || text != "<>" && strings.ContainsAny(text, "<>") {
			return m, fmt.Errorf("%s %q is not an address such as alice@acme.example", a.flag, a.text)
		}
		*a.to = mail.Path(text)
	}
	m.HeaderFrom = mail.Path(f.headerFrom)
	if name, address, ok := strings.Cut(f.headerFrom, "<"); ok {
		m.HeaderFromName, m.HeaderFrom = strings.Trim(name, " \""), mail.Path(strings.TrimSuffix(address, ">"))
	}
	if f.ip != "" {
		if _, err := netip.ParseAddr(f.ip); err != nil {
			return m, fmt.Errorf("--ip %q is not an address such as 192.0.2.1", f.ip)
		}
		m.Client.IP = f.ip
	}
	return m, nil
}

// parseAt reads --at; zero means the message's own time.
func parseAt(text string, now time.Time) (time.Time, error) {
	switch text {
	case "":
		return time.Time{}, nil
	case "now":
		return now, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("--at %q is neither now nor a time such as 2026-11-23T10:00:00Z", text)
	}
	return at.UTC(), nil
}

// whyMessages prints one trace a line, in the order of the messages.
func (s *session) whyMessages(set *engine.Set, f whyFlags, at, now time.Time) error {
	in, name := s.stdin, "standard input"
	if f.messages != "-" {
		path, err := s.path(f.messages)
		if err != nil {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("read messages: %w", err)
		}
		defer file.Close()
		in, name = file, f.messages
	}
	w, flush := s.buffered()
	lines := bufio.NewReaderSize(in, 1<<16)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if len(strings.TrimSpace(string(line))) > 0 {
			var m mail.Message
			if err := json.Unmarshal(line, &m); err != nil {
				return errors.Join(flush(), fmt.Errorf("%s:%d: this is not a message in JSON: %w", name, number, err))
			}
			if !m.Recipient.Known() || (!m.EnvelopeFrom.Known() && !m.HeaderFrom.Known()) {
				return errors.Join(flush(), fmt.Errorf("%s:%d: a message needs recipient and one of envelope_from and header_from", name, number))
			}
			if err := s.printTrace(w, set, &m, f, at, now); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return flush()
		}
		if err != nil {
			return errors.Join(flush(), fmt.Errorf("read %s: %w", name, err))
		}
	}
}

func (s *session) printTrace(w io.Writer, set *engine.Set, m *mail.Message, f whyFlags, at, now time.Time) error {
	var t engine.Trace
	if f.replay != nil {
		t = f.replay(m, at)
	} else {
		t = engine.Why(set, m, at, now)
	}
	if f.policyID != "" {
		steps, ok := engine.ExplainPolicy(set, m, t.AsOf, f.policyID)
		if !ok {
			return fmt.Errorf("no policy has the id %q", f.policyID)
		}
		t.Steps = steps
	}
	for i := range t.Remedies {
		if r := &t.Remedies[i]; f.weigh != nil && (r.Works == nil || *r.Works) {
			report, err := f.weigh(r.Change)
			if err != nil {
				return fmt.Errorf("weigh %s %s: %w", r.Kind, r.Scope, err)
			}
			r.Impact = &report
		}
	}
	var lifts []app.Lift
	if f.lifts != nil && m.ID != "" {
		lifts = f.lifts(*m)
	}
	var story []app.Event
	if f.timeline != nil {
		story = f.timeline(*m)
	}
	if s.json {
		return s.printJSON(w, toldTrace{t, toldBeside{lifts, story}})
	}
	text := traceText(m, t) + timelineText(story)
	for _, l := range lifts {
		text += liftText(l) + "\n"
	}
	_, err := io.WriteString(w, plain(text))
	return err
}

// toldTrace is a trace with what stands beside it in its JSON object.
type toldTrace struct {
	trace  engine.Trace
	beside toldBeside
}

// toldBeside is what each gateway could do about the refusal, and the story.
type toldBeside struct {
	Gateways []app.Lift  `json:"gateways,omitempty"`
	Timeline []app.Event `json:"timeline,omitempty"`
}

// MarshalJSON adds the keys of beside to those of the trace.
func (t toldTrace) MarshalJSON() ([]byte, error) {
	trace, err := t.trace.MarshalJSON()
	if err != nil {
		return nil, err
	}
	beside, err := mail.Unescaped(t.beside)
	if err != nil || len(beside) <= len("{}") {
		return trace, err
	}
	return append(append(trace[:len(trace)-1], ','), beside[1:]...), nil
}

// timelineText is the story for people: a line each.
func timelineText(story []app.Event) string {
	var b strings.Builder
	for i, e := range story {
		head := "           "
		if i == 0 {
			head = "timeline   "
		}
		if e.Gap != "" {
			fmt.Fprintf(&b, "%s(%s)\n", head, cell.Clean(e.Gap))
			continue
		}
		who := strings.Join(strings.Fields(e.Format+" "+e.Gateway+" "+e.QueueID), " ")
		fmt.Fprintf(&b, "%s%s  %s  %s\n             %s\n", head, e.Time.UTC().Format("2006-01-02 15:04:05"), cell.Clean(who), or(string(e.Outcome), "-"), cell.Clean(e.Text))
	}
	return b.String()
}

func liftText(l app.Lift) string {
	can := "cannot lift it"
	if l.Lifts {
		can = "can lift it"
	}
	return fmt.Sprintf("gateway %s %s: %s", l.Gateway, can, l.Because)
}

// traceText is the trace for people: the verdict first, then what to do, then
// how it came about.
func traceText(m *mail.Message, t engine.Trace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s -> %s\n", cell.Clean(or(string(m.EnvelopeFrom), string(m.HeaderFrom))), cell.Clean(string(m.Recipient)))
	fmt.Fprintf(&b, "verdict    %s\n", verdictText(t.Verdict))
	if t.VerdictNow != nil {
		fmt.Fprintf(&b, "now        %s\n", verdictText(*t.VerdictNow))
	}
	for _, change := range t.Between {
		fmt.Fprintf(&b, "between    %s\n", cell.Clean(change))
	}
	fmt.Fprintf(&b, "the log    %s: %s\n", t.Agreement.Result, cell.Clean(t.Agreement.Detail))
	for _, r := range t.Remedies {
		fmt.Fprintf(&b, "%-10s %s %s: %s\n", worksWord(r.Works), r.Kind, cell.Clean(r.Scope), cell.Clean(r.Because))
		if r.Others != nil && r.Others.Stopped > 0 {
			fmt.Fprintf(&b, "           lets in %d of %d other messages of this sender that are stopped now\n", r.Others.Freed, r.Others.Stopped)
		}
		for _, risk := range r.Risks {
			fmt.Fprintf(&b, "           risk: %s\n", cell.Clean(risk))
		}
		if r.Impact != nil {
			fmt.Fprintf(&b, "           would alter %d messages of %d senders to %d recipients; %d were never scanned\n", r.Impact.Messages, r.Impact.Senders, r.Impact.Recipients, r.Impact.NeverScanned)
		}
	}
	for _, step := range t.Steps {
		fmt.Fprintf(&b, "%-7s %-18s %-5s %s\n", step.Outcome, step.Stage, step.Moment, cell.Clean(step.Because))
		for _, p := range step.Policies {
			fmt.Fprintf(&b, "        %s %q (%s, %s): %s\n", p.ID, p.Description, p.Option, p.Origin, cell.Clean(p.Because))
		}
	}
	return b.String()
}

func verdictText(v engine.Verdict) string {
	if v.Outcome == nil {
		if slices.Contains(v.Missing, "policies") {
			return "undetermined: no policies are loaded; name the policy file in the configuration, or with --policy"
		}
		return "undetermined; the log lacks " + strings.Join(v.Missing, ", ")
	}
	text := string(*v.Outcome)
	if v.Policy != "" {
		text += fmt.Sprintf(" by %s %s at %s", v.Stage, v.Policy, v.Moment)
	}
	text += ", " + string(v.Certainty)
	if len(v.Missing) > 0 {
		text += "; not logged: " + strings.Join(v.Missing, ", ")
	}
	if v.Ambiguous {
		text += "; ambiguous between " + strings.Join(v.Tied, ", ")
	}
	return text
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// plain makes text of any number of lines safe to show: nothing in it can steer
// a terminal. What came from a log goes through cell.Clean first, so that it
// cannot end a line either.
func plain(text string) string { return cell.CleanLines(text) }
